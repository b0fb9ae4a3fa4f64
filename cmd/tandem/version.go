package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo()
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "tandem", describe(info))
			return err
		},
	}
}

// version is what this binary was built from, in short.
func version() string {
	info, _ := debug.ReadBuildInfo()
	return shortVersion(info)
}

// shortVersion is the module's version, else the revision, else "devel". The
// toolchain writes both when it builds from a repository.
func shortVersion(info *debug.BuildInfo) string {
	if info == nil {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	if revision := setting(info, "vcs.revision"); revision != "" {
		return revision[:min(len(revision), 12)]
	}
	return "devel"
}

// describe adds revision, time and toolchain.
func describe(info *debug.BuildInfo) string {
	text := shortVersion(info)
	if info == nil {
		return text
	}
	if revision := setting(info, "vcs.revision"); revision != "" {
		text += " revision " + revision
		if setting(info, "vcs.modified") == "true" {
			text += " (modified)"
		}
		text += " of " + setting(info, "vcs.time")
	}
	return text + " " + info.GoVersion
}

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
