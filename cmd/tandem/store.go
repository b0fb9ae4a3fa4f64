package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"tandem/config/store"
)

func newStore() *cobra.Command {
	return newManaged("store", "Back up, verify and restore what a node manages",
		`Back up, verify and restore what a node manages: its connectors, groups and
numbers. Backups are taken of a running node; verify and restore work on files.`,
		newStoreBackup(), newStoreVerify(), newStoreRestore())
}

func newStoreBackup() *cobra.Command {
	var node target
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write everything that a running node manages to a file",
		Long: `Write everything that a running node manages to a file, as it is at one moment;
changes go on meanwhile. The file is verified, on the disk and in place when the
command returns, else there is none. One that is there already is left as it is.`,
		Example: `  tandem store backup /backup/tandem-$(date +%F).db`,
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return backup(cmd, node, args[0]) },
	}
	node.addTo(cmd, defaultAdminURL, "the node's admin address")
	return cmd
}

func backup(cmd *cobra.Command, node target, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s is there already; give a name that is new", path)
	}
	var info store.Info
	err := writeWhole(path, func(f *os.File) error {
		err := download(cmd.Context(), node, "/v1/backup", f)
		if err == nil {
			info, err = store.Verify(f.Name())
		}
		return err
	})
	if err != nil {
		return err
	}
	return writeInfo(cmd, path, info)
}

func newStoreVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE",
		Short: "Read all of a backup, or of a store that no node has open, and say whether it is whole",
		Long: `Read all of a backup, or of a store that no node has open, hold its parts against
each other, and say what it has. The exit code is 1 when it cannot be used.`,
		Example: `  tandem store verify /backup/tandem-2026-11-23.db`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := store.Verify(args[0])
			if err != nil {
				return err
			}
			return writeInfo(cmd, args[0], info)
		},
	}
}

// writeInfo writes what a file has.
func writeInfo(cmd *cobra.Command, path string, info store.Info) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is whole: %s, %s, %s, revision %d\n", path, count(info.Connectors, "connector", "connectors"),
		count(info.Groups, "group", "groups"), count(info.Numbers, "number", "numbers"), info.Revision)
	return err
}

func newStoreRestore() *cobra.Command {
	var to string
	var yes bool
	cmd := &cobra.Command{
		Use:   "restore BACKUP --to STORE",
		Short: "Put a backup in the place of a store that no node has open",
		Long: `Put a backup in the place of a store: the file at store: path: of the node's config,
which is in its state directory. The node has to be stopped. The backup is read
wholly before anything is changed, and the store that was there, damaged or not, is
kept beside it under another name.`,
		Example: `  tandem store restore /backup/tandem-2026-11-23.db --to /var/lib/tandem/tandem.db`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := os.Lstat(to); err == nil && !yes {
				if err := confirm(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), to+" is to be replaced; what is there is kept beside it."); err != nil {
					return err
				}
			}
			kept, err := store.Restore(args[0], to)
			if err != nil {
				return err
			}
			text := fmt.Sprintf("%s is as in %s\n", to, args[0])
			if kept != "" {
				text += "what was there is in " + kept + "\n"
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the store's file")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "go on without asking")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}
