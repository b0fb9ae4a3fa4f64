package main

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"tandem/config/catalog"
)

func newKey() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "key NAME",
		Short: "Make a key for a node's admin address",
		Long: `Make a key for a node's admin address, for the person or the program of that NAME,
which the node's audit log shows. The key is printed once and kept nowhere; its line
for the config of the node holds a hash of it. A node takes it after a restart.

--file FILE writes the key there instead, for its owner alone to read. A file that
is there already is left as it is. Commands find it by --key-file FILE, or in
$` + keyEnv + `.`,
		Example: `  tandem key ops
  tandem key ops --file ops.key`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeNothing,
		RunE: func(cmd *cobra.Command, args []string) error {
			return makeKey(cmd.OutOrStdout(), args[0], file)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "write the key to this file, and do not print it")
	return cmd
}

func makeKey(out io.Writer, name, file string) error {
	if !catalog.ValidName(name) {
		return fmt.Errorf("%q is not a name: letters, digits, space and _ . -", name)
	}
	key := rand.Text() + rand.Text() // twice 26 letters and digits
	text := "key   " + key + "\n"
	if file != "" {
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(f, key)
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
		text = "key   in " + file + "\n"
	}
	_, err := fmt.Fprintf(out, "%sline  for keys: of admin: in the node's config:\n  - {name: \"%s\", sha256: %x}\n", text, name, sha256.Sum256([]byte(key)))
	return err
}
