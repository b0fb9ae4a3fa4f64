package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tandem/config"
	"tandem/config/catalog"
	"tandem/config/inventory"
)

const (
	mostImport = 64 << 20 // bytes that a node takes of a file
	yamlType   = "application/yaml"
)

func newImport() *cobra.Command {
	var m managing
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Bring connectors, groups and numbers of a YAML file into a running node",
		Long: `Bring the connectors, groups and numbers of a YAML file into a running node, in the
form that tandem export writes and a config has. What the node does not have is
created, what it has under the same name becomes as the file says, and what the
file does not name stays. A whole config may be given: the settings of a node in it
are left alone, and its numbers_file are read here. A number that has another owner is taken from it: it is
shown whose they are, and asked whether to go on. FILE may be -, for standard input.

Numbers by the million are better brought in by tandem number import: this takes
64 MB.`,
		Example: `  tandem import --dry-run groups.yaml
  tandem import groups.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return importFile(cmd, &m, args[0]) },
	}
	m.addTo(cmd)
	m.addYes(cmd)
	return cmd
}

// importReport is what an import does, as a node tells it.
type importReport struct {
	Connectors importCounts  `json:"connectors"`
	Groups     importCounts  `json:"groups"`
	Numbers    numbersReport `json:"numbers"`
	Dry        bool          `json:"dry_run,omitempty"`
}

// importCounts is how many of a kind an import makes and changes.
type importCounts struct {
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
}

func importFile(cmd *cobra.Command, m *managing, name string) error {
	text, err := readImport(name, cmd.InOrStdin())
	if err != nil {
		return err
	}
	if text, err = completed(cmd.ErrOrStderr(), name, text); err != nil {
		return err
	}
	send := func(dry, force bool) (*importReport, *answer, error) {
		r := request{method: http.MethodPost, path: "/v1/import", query: url.Values{}, body: text, kind: yamlType, within: longTimeout}
		for key, value := range map[string]bool{"dry_run": dry, "force": force} {
			if value {
				r.query.Set(key, "true")
			}
		}
		report := new(importReport)
		a, err := m.node.send(cmd.Context(), r, report)
		report.Dry, report.Numbers.Dry = dry, dry
		return report, a, err
	}
	force := m.yes
	if m.dry || !m.yes {
		report, a, err := send(true, true)
		if err != nil {
			return err
		}
		if m.dry {
			return report.write(cmd, m.output, a)
		}
		if force = len(report.Numbers.taken()) > 0; force {
			if err := confirm(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), takenText(&report.Numbers)); err != nil {
				return err
			}
		}
	}
	report, a, err := send(false, force)
	if err != nil {
		return err
	}
	return report.write(cmd, m.output, a)
}

// completed returns a document as a node can read it: with the numbers of its
// numbers files, which are on this machine. Mistakes are found before anybody is
// asked, and sections that are the node's own settings are told of.
func completed(errs io.Writer, name string, text []byte) ([]byte, error) {
	im, err := config.ParseInventory(name, text, config.ImportOptions{})
	if err != nil {
		im, err = config.ParseInventory(name, text, config.ImportOptions{Env: os.LookupEnv, NumbersFiles: true})
		if err != nil {
			return nil, err
		}
		if text, err = documentOf(im); err != nil {
			return nil, err
		}
		if len(text) > mostImport {
			return nil, tooMuch(name)
		}
	}
	if len(im.LeftAlone) > 0 {
		_, err = fmt.Fprintf(errs, "left alone, because they are a node's own settings: %s\n", strings.Join(im.LeftAlone, ", "))
	}
	return text, err
}

// documentOf writes what was read of a document so that it names no file. It is
// JSON, and so YAML.
func documentOf(im *config.Import) ([]byte, error) {
	type connector struct {
		inventory.ConnectorSpec
		Numbers []string `json:"numbers,omitempty"`
	}
	type group struct {
		inventory.GroupSpec
		Numbers []string `json:"numbers,omitempty"`
	}
	var doc struct {
		Connectors []connector `json:"connectors,omitempty"`
		Groups     []group     `json:"groups,omitempty"`
		Numbers    []string    `json:"numbers,omitempty"`
	}
	numbers := make(map[string][]string) // by kind and name
	for i := range im.Numbers {
		o := &im.Numbers[i]
		key := fmt.Sprint(o.Owner, o.Name)
		err := o.Pages(pageOfNumbers, func(page []catalog.Entry) error {
			for _, e := range page {
				numbers[key] = append(numbers[key], e.String())
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, c := range im.Connectors {
		doc.Connectors = append(doc.Connectors, connector{c, numbers[fmt.Sprint(inventory.ConnectorOwner, c.Name)]})
	}
	for _, g := range im.Groups {
		doc.Groups = append(doc.Groups, group{g, numbers[fmt.Sprint(inventory.GroupOwner, g.Name)]})
	}
	doc.Numbers = numbers[fmt.Sprint(inventory.Nobody)]
	return json.Marshal(&doc)
}

func tooMuch(name string) error {
	return fmt.Errorf("%s has more than %d MB; bring numbers in by tandem number import", name, mostImport>>20)
}

// readImport reads a file to import; "-" is standard input.
func readImport(name string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, mostImport+1))
	if err == nil && len(text) > mostImport {
		err = tooMuch(name)
	}
	return text, err
}

// write tells what was imported.
func (r *importReport) write(cmd *cobra.Command, output string, a *answer) error {
	if output == asJSON {
		if err := writeLine(cmd.OutOrStdout(), a.text); err != nil {
			return err
		}
		return r.Numbers.code()
	}
	for _, c := range []struct {
		what string
		importCounts
	}{{"connectors", r.Connectors}, {"groups", r.Groups}} {
		dry := ""
		if r.Dry {
			dry = "dry run: "
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s%s: %d created, %d changed, %d as they were\n", dry, c.what, c.Created, c.Updated, c.Unchanged); err != nil {
			return err
		}
	}
	return r.Numbers.write(cmd, output, "imported")
}

func newExport() *cobra.Command {
	var node target
	var out string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write connectors, groups and numbers of a running node as YAML",
		Long: `Write the connectors, groups and numbers of a running node as YAML, as they are at
one moment: for tandem import, or for a config. To keep everything, with IDs and
times, there is tandem store backup.`,
		Example: `  tandem export > groups.yaml
  tandem export --file groups.yaml`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: completeNothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return download(cmd.Context(), node, "/v1/export", cmd.OutOrStdout())
			}
			return writeWhole(out, func(f *os.File) error { return download(cmd.Context(), node, "/v1/export", f) })
		},
	}
	node.addTo(cmd, defaultAdminURL, "the node's admin address")
	cmd.Flags().StringVarP(&out, "file", "f", "", "write this file, whole or not at all, in place of the one that is there")
	return cmd
}

// download writes a page that may be long. One that is cut off is an error.
func download(ctx context.Context, node target, path string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, longTimeout)
	defer cancel()
	res, err := node.open(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body := &failingReader{in: res.Body}
	if _, err := io.Copy(out, body); err != nil {
		if body.err != nil {
			return fmt.Errorf("the node's answer is cut off, and not whole: %w", body.err)
		}
		return err
	}
	return nil
}

// failingReader remembers that it was the reading that failed.
type failingReader struct {
	in  io.Reader
	err error
}

func (r *failingReader) Read(buf []byte) (int, error) {
	n, err := r.in.Read(buf)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
