package config

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
)

// linesOf reads the text of a numbers file: "line: entry" or "line! mistake".
func linesOf(t *testing.T, text string) (lines []string) {
	t.Helper()
	in, err := newNumberLines(strings.NewReader(text))
	require.NoError(t, err)
	for {
		switch e, wrong, err := in.next(); {
		case err == io.EOF:
			return lines
		case err != nil:
			t.Fatal(err)
		case wrong != nil:
			lines = append(lines, fmt.Sprintf("%d! %v", in.line, wrong))
		default:
			lines = append(lines, fmt.Sprintf("%d: %s", in.line, e))
		}
	}
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestNumberLines(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":                            {"", nil},
		"one a line":                         {"+15550000001\n0100\n", []string{"1: +15550000001", "2: 0100"}},
		"no end of line":                     {"1\n2", []string{"1: 1", "2: 2"}},
		"range, prefix":                      {"100-199\n+1-555-000-1000 - +1-555-000-1999\n+1555*\n", []string{"1: 100-199", "2: +15550001000-+15550001999", "3: +1555*"}},
		"Windows":                            {"\ufeffnumber\r\n+1555\r\n\r\n+1556\r\n", []string{"2: +1555", "4: +1556"}},
		"comments":                           {"# some\n1\n  # more\n2 # two\n#3\n4\t# four\n\"5\" # five\n", []string{"2: 1", "4: 2", "6: 4", "7: 5"}},
		"CSV":                                {"E.164,Name\n+1555,a\n\"+1556\",\"b, c\"\n", []string{"2: +1555", "3: +1556"}},
		"semicolons":                         {"Rufnummer;Name\n+1555;a\n+1556 ; b\n", []string{"2: +1555", "3: +1556"}},
		"tabs":                               {"Numéro\tNom\n+1555\ta\n", []string{"2: +1555"}},
		"quoted header":                      {"\"Phone number\",\"Name\"\n\"+1 (555) 000.0001\",a\n", []string{"2: +15550000001"}},
		"comment, header":                    {"\n# made by x\nnumber\n1\n", []string{"4: 1"}},
		"empty rows":                         {"1,a\n,,\n;;\n\"\",\"\"\n \t \n2,b\n", []string{"1: 1", "6: 2"}},
		"a comma in a comment":               {"1 # a, b\n", []string{"1: 1"}},
		"one header only":                    {"number\nnumber\n", []string{`2! "number" holds 'n'; write digits with or without a leading "+"`}},
		"no header: a number with a mistake": {"+1555x\n", []string{`1! "+1555x" holds 'x'; write digits with or without a leading "+"`}},
		"no header: a number behind a word":  {"tel:+15550000001\n", []string{`1! "tel:+15550000001" holds 't'; write digits with or without a leading "+"`}},
		"no header: behind a mistake":        {"1x\nnumber\n", []string{`1! "1x" holds 'x'; write digits with or without a leading "+"`, `2! "number" holds 'n'; write digits with or without a leading "+"`}},
		"no number first":                    {",a\n\"\",b\n", []string{`1! ",a" begins with no number; write a number, a range A-B or a prefix X*`, `2! "\"\",b" begins with no number; write a number, a range A-B or a prefix X*`}},
		"a hash in a number":                 {"911#\n", []string{`1! "911#" holds '#'; a number has digits only, and "*" stands at the end of a prefix`}},
		"a long line":                        {"1\n" + strings.Repeat("2", longestLine) + "\n3\n" + strings.Repeat("4", 3*longestLine), []string{"1: 1", "2! is longer than 64 KiB; write one number a line", "3: 3", "4! is longer than 64 KiB; write one number a line"}},
		"a long comment":                     {"1,\"" + strings.Repeat("x", longestLine/2) + "\"\n2\n", []string{"1: 1", "2: 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, linesOf(t, c.text))
			require.Equal(t, c.want, linesOf(t, zipped(t, c.text)))
		})
	}
}

// The example in the README is right.
func TestReadmeNumbers(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	_, block, found := strings.Cut(string(text), "```csv\n")
	require.True(t, found)
	block, _, _ = strings.Cut(block, "```")
	require.Equal(t, []string{"3: +15550100000", "4: +15550100001", "5: +15550110000-+15550119999", "6: +1555012*"}, linesOf(t, block))
}

// withFiles writes files into a directory and returns the path of the first.
func withFiles(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		write(t, filepath.Join(dir, files[i]), files[i+1])
	}
	return filepath.Join(dir, files[0])
}

const twoFiles = `
connectors: [{name: east, hosts: ["sip:10.0.0.1"], numbers_file: own.csv}]
groups: [{name: g, connectors: [{connector: east, priority: 1}], numbers: ["1"], numbers_file: [a.csv, "${TANDEM_TEST_NUMBERS}"]}]
`

func TestNumbersFiles(t *testing.T) {
	t.Setenv("TANDEM_TEST_NUMBERS", "b.csv.gz")
	path := withFiles(t, "tandem.yaml", twoFiles, "own.csv", "number,name\n+1555,a\n", "a.csv", "2\n100-199\n", "b.csv.gz", zipped(t, "3\n+1556*\n"))
	cfg, err := Load(path)
	require.NoError(t, err)
	require.Empty(t, cfg.Warnings)
	c, g := &cfg.Catalog.Connectors[0], &cfg.Catalog.Groups[0]
	texts := func(each func(func(catalog.Entry) error) error) (texts []string) {
		require.NoError(t, each(func(e catalog.Entry) error { texts = append(texts, e.String()); return nil }))
		return texts
	}
	require.Equal(t, []string{"+1555"}, texts(c.EachNumber))
	require.Equal(t, []string{"1", "2", "3", "100-199", "+1556*"}, texts(g.EachNumber))
	require.True(t, c.HasNumbers())
	require.Equal(t, 5, g.NumberCount())

	// What is read is what Watch looks at.
	now, err := (&seen{path: path}).look()
	require.NoError(t, err)
	require.Equal(t, now, cfg.Sum)
	for _, file := range []string{"own.csv", "a.csv", "b.csv.gz"} {
		old, err := os.ReadFile(filepath.Join(filepath.Dir(path), file))
		require.NoError(t, err)
		write(t, filepath.Join(filepath.Dir(path), file), "7\n")
		other, err := Load(path)
		require.NoError(t, err)
		require.NotEqual(t, cfg.Sum, other.Sum, file)
		write(t, filepath.Join(filepath.Dir(path), file), string(old))
	}
	again, err := Load(path)
	require.NoError(t, err)
	require.Equal(t, cfg, again)
}

// It is all the same whether a number is listed or comes from a file.
func TestDiffNumbersFiles(t *testing.T) {
	t.Setenv("TANDEM_TEST_NUMBERS", "b.csv")
	path := withFiles(t, "tandem.yaml", twoFiles, "own.csv", "+1555\n", "a.csv", "2\n100-199\n", "b.csv", "3\n+1556*\n")
	old, err := Load(path)
	require.NoError(t, err)
	moved := load(t, `
connectors: [{name: east, hosts: ["sip:10.0.0.1"], numbers: ["+1555"]}]
groups: [{name: g, connectors: [{connector: east, priority: 1}], numbers: ["1", "2", "3", "100-199", "+1556*"]}]
`)
	moved.Reload = old.Reload
	require.Empty(t, Diff(old, moved))
	require.Empty(t, Diff(moved, old))
	write(t, filepath.Join(filepath.Dir(path), "own.csv"), "+1557\n")
	write(t, filepath.Join(filepath.Dir(path), "b.csv"), "4\n5\n6\n7\n8\n9\n+1556*\n")
	new, err := Load(path)
	require.NoError(t, err)
	var texts []string
	for _, c := range Diff(old, new) {
		texts = append(texts, c.Text)
	}
	require.Equal(t, []string{
		"connector east: number +1555 removed",
		"connector east: number +1557 added",
		"group g: number 3 removed",
		"group g: numbers added: 4, 5, 6, 7, 8 and 1 more",
	}, texts)
	changes := Diff(load(t, "connectors: [{name: east, hosts: [\"sip:10.0.0.1\"]}]"), new)
	require.Equal(t, "group g added (connectors east priority 1, numbers 1, 2, 4, 5, 6 and 5 more)", changes[len(changes)-1].Text)
}

// A hundred thousand numbers, from a pattern and by the million in
// BenchmarkLoadTenMillion.
func TestLoadHundredThousand(t *testing.T) {
	const n = 100_000
	path := writeNumbers(t, n, true)
	cfg, err := LoadWith(path, Options{Progress: func(string, int) {}})
	require.NoError(t, err)
	set := cfg.Catalog.Groups[0].FileNumbers
	require.Equal(t, n, set.Len())
	require.LessOrEqual(t, set.Bytes(), 2*n+10)
	i := 0
	require.NoError(t, cfg.Catalog.Groups[0].EachNumber(func(e catalog.Entry) error {
		require.EqualValues(t, 1e10+i*331, e.First.Value())
		i++
		return nil
	}))
	require.Equal(t, n, i)
}

// Progress is told of every second, and not of a load that is over before.
func TestProgress(t *testing.T) {
	for _, c := range []struct {
		pause time.Duration // before each 3000 lines or so
		want  []string
	}{
		{0, nil},
		{100 * time.Millisecond, []string{"numbers.csv 32768", "numbers.csv 65536", "numbers.csv 98304"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var text strings.Builder
			for i := range 100_000 {
				fmt.Fprintf(&text, "+1%010d\n", i)
			}
			var told []string
			w := testWorld
			w.open = func(string) (io.ReadCloser, int64, error) {
				return io.NopCloser(&slowReader{strings.NewReader(text.String()), c.pause}), int64(text.Len()), nil
			}
			w.progress = func(file string, numbers int) { told = append(told, fmt.Sprint(file, " ", numbers)) }
			_, err := parse("test.yaml", []byte("groups: [{name: g, numbers_file: numbers.csv}]"), w)
			require.NoError(t, err)
			require.Equal(t, c.want, told)
		})
	}
}

type slowReader struct {
	in    io.Reader
	pause time.Duration
}

func (r *slowReader) Read(buf []byte) (int, error) {
	time.Sleep(r.pause)
	return r.in.Read(buf[:min(len(buf), 40_000)])
}

// A file ends in the middle of a compressed part, and another is no file.
func TestNumbersFileCannotBeRead(t *testing.T) {
	path := withFiles(t, "tandem.yaml", "groups: [{name: g, numbers_file: [/dev/zero, a.csv]}]", "a.csv", zipped(t, "1\n2\n")[:20])
	_, err := Load(path)
	require.EqualError(t, err, path+`:1: groups[0].numbers_file[0]: "/dev/zero" cannot be read: it is not a file`+"\n"+
		filepath.Join(filepath.Dir(path), "a.csv")+`:3: groups[0].numbers_file[1]: cannot be read: unexpected EOF; it is cut off or damaged`)
}

func TestTooManyNumbers(t *testing.T) {
	w := testWorld
	w.most = 20_000
	w.open = func(string) (io.ReadCloser, int64, error) {
		var text strings.Builder
		for i := range 20_000 {
			fmt.Fprintf(&text, "%d\n", i)
		}
		return io.NopCloser(strings.NewReader(text.String())), int64(text.Len()), nil
	}
	_, err := parse("test.yaml", []byte("groups: [{name: g, numbers_file: a.csv}]"), w)
	require.NoError(t, err)
	_, err = parse("test.yaml", []byte("groups: [{name: g, numbers_file: [a.csv, b.csv, c.csv]}]"), w)
	require.ErrorContains(t, err, "b.csv:16384: groups[0].numbers_file[1]: more than 20000 numbers in files are too many for a node; write ranges and prefixes, or divide them among nodes")
}

// Whatever is in a file, it is read to its end: every line is an entry as it
// stands there, a mistake in one line, or nothing.
func FuzzNumberLines(f *testing.F) {
	files, err := filepath.Glob("testdata/numbers/*")
	require.NoError(f, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := newNumberLines(bytes.NewReader(data))
		if err != nil {
			return
		}
		zip := bytes.HasPrefix(data, []byte("\x1f\x8b"))
		lines := bytes.Split(bytes.TrimPrefix(data, []byte("\ufeff")), []byte("\n"))
		before := 0
		for {
			e, wrong, err := in.next()
			if err == io.EOF {
				break
			} else if err != nil {
				require.True(t, zip, err)
				return
			}
			require.Greater(t, in.line, before)
			before = in.line
			if wrong != nil {
				require.NotContains(t, wrong.Error(), "\n")
				require.Less(t, len(wrong.Error()), 500)
				continue
			}
			again, err := catalog.ParseEntry([]byte(e.String()))
			require.NoError(t, err)
			require.Equal(t, e, again)
			if zip {
				continue
			}
			// The digits of the line begin with those of the entry.
			digits := func(b []byte) string {
				return string(bytes.Map(func(r rune) rune {
					if r >= '0' && r <= '9' {
						return r
					}
					return -1
				}, b))
			}
			require.True(t, strings.HasPrefix(digits(lines[in.line-1]), digits([]byte(e.String()))))
		}
		require.True(t, zip || before <= len(lines))
	})
}
