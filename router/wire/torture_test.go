package wire_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/router/wire"
)

// torture returns the messages of RFC 4475 by kind and name, as sipgo's module
// carries them.
func torture(t testing.TB) map[string][]byte {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/emiago/sipgo").Output()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "sip", "testdata", "torture", "*", "*.dat"))
	require.NoError(t, err)
	messages := map[string][]byte{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		name := strings.TrimSuffix(filepath.Base(file), ".dat")
		messages[filepath.Base(filepath.Dir(file))+"/"+name] = data
	}
	require.Len(t, messages, 50)
	return messages
}

// TestTortureRFC4475 holds all 13 valid messages to be without a defect. Of
// the invalid ones, only those are refused whose fault is in a part that routes
// them; RFC 3261 16.3 step 1 wants the others forwarded.
func TestTortureRFC4475(t *testing.T) {
	defects := map[string]wire.Defect{
		"invalid/badinv01":   wire.BadVia,
		"invalid/badvers":    wire.BadVersion,
		"invalid/clerr":      wire.ShortBody,
		"invalid/insuf":      wire.MissingFrom, // To and Call-ID too: the first is named
		"invalid/ltgtruri":   wire.BadRequestURI,
		"invalid/lwsruri":    wire.BadRequestURI,
		"invalid/lwsstart":   wire.BadRequestURI,
		"invalid/mcl01":      wire.DuplicateHeader,
		"invalid/mismatch01": wire.MethodMismatch,
		"invalid/mismatch02": wire.MethodMismatch,
		"invalid/multi01":    wire.DuplicateHeader,
		"invalid/ncl":        wire.BadContentLength,
		"invalid/quotbal":    wire.BadTo,
		"invalid/scalar02":   wire.BadCSeq,
		"invalid/scalarlg":   wire.BadCSeq,
		"invalid/trws":       wire.BadStartLine,
	}
	errs := map[string]error{
		"invalid/bigcode": wire.ErrNotSIP,
		"invalid/test":    wire.ErrNotSIP,
		"invalid/baddn":   wire.ErrTruncated, // the file lacks the empty line; TestParseAddress has the name
	}
	passed := map[string]string{
		"invalid/badaspec":  "spaces in the brackets of To: its URI routes nothing",
		"invalid/badbranch": "a branch with the cookie and nothing else is still compared",
		"invalid/baddate":   "Date is not ours",
		"invalid/bcast":     "a response not for us: the branch check of the router drops it",
		"invalid/bext01":    "Require is for the other end; Proxy-Require gets its 420 from the router",
		"invalid/cparam01":  "Contact of a REGISTER is the registrar's",
		"invalid/cparam02":  "the same",
		"invalid/escruri":   "the request-URI has headers, which the router leaves out",
		"invalid/inv2543":   "RFC 2543: no branch, no Max-Forwards",
		"invalid/invut":     "the body is not ours",
		"invalid/novelsc":   "416 from the router",
		"invalid/regaut01":  "an unknown scheme of Authorization",
		"invalid/regbadct":  "Contact of a REGISTER is the registrar's",
		"invalid/regescrt":  "the same",
		"invalid/sdp01":     "the body is not ours",
		"invalid/unkscm":    "416 from the router",
		"invalid/unksm2":    "unknown schemes in From, To and Contact",
		"invalid/zeromf":    "483 from the router",
	}
	for name, data := range torture(t) {
		t.Run(name, func(t *testing.T) {
			var m wire.Message
			require.ErrorIs(t, m.Parse(data), errs[name])
			if errs[name] != nil {
				return
			}
			require.Equal(t, defects[name].Reason(), m.Defect.Reason())
			if strings.HasPrefix(name, "invalid/") && m.Defect == wire.NoDefect {
				require.Contains(t, passed, name)
			}
			everything(t, &m)
		})
	}
}
