package peer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// startKamailio starts Kamailio at its best, with so many children: in the
// foreground, with the fast allocator for both kinds of memory.
func startKamailio(children int) func(Settings, kind) (*Process, error) {
	return func(s Settings, k kind) (*Process, error) {
		dir, err := s.directory(k.name)
		if err != nil {
			return nil, err
		}
		if err := configureKamailio(s, k, dir, children); err != nil {
			return nil, err
		}
		return Start(s.Work, s.CPU, dir, "kamailio", "-f", filepath.Join(dir, "kamailio.cfg"), "-DD", "-E",
			"-x", "fm", "-X", "fm", "-m", "1024", "-M", "32")
	}
}

func configureKamailio(s Settings, k kind, dir string, children int) error {
	modules, err := filepath.Glob("/usr/lib/*/kamailio/modules")
	if err != nil || len(modules) == 0 {
		return errors.New("no modules in /usr/lib/*/kamailio/modules")
	}
	template, err := os.ReadFile(filepath.Join(s.Bench, "kamailio", "kamailio.cfg"))
	if err != nil {
		return err
	}
	var numbers strings.Builder
	numbers.WriteString("id(int,auto) key_name(string) key_type(int) value_type(int) key_value(string) expires(int)\n")
	for i := range s.Numbers {
		fmt.Fprintf(&numbers, "%d:+%d:0:1:1:0\n", i+1, First+i)
	}
	forward := map[string]string{"stateless": "forward", "tm": "t_relay"}[s.Dialogs]
	if forward == "" {
		return fmt.Errorf("dialogs %q: there is stateless and tm", s.Dialogs)
	}
	for name, content := range map[string]string{
		"kamailio.cfg": strings.NewReplacer(
			"BENCH_CHILDREN", strconv.Itoa(children), "BENCH_LISTEN", k.addr.String(),
			"BENCH_MODULES", modules[0]+"/", "BENCH_FORWARD", forward, "BENCH_DIR", dir).Replace(string(template)),
		"dispatcher.list": fmt.Sprintf("1 sip:%s 0 20\n1 sip:%s 0 10\n", Connectors[0], Connectors[1]),
		"numbers":         numbers.String(),
		"version":         "table_name(string) table_version(int)\nnumbers:2\nhtable:2\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}
