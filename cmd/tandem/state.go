package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

var systemStateDir = "/var/lib/tandem" // tests have another

// Files of a state directory.
const (
	secretName = "secret"
	ordersName = "orders.json"
	healthName = "health.json"
)

// stateDir is where a node keeps what has to survive a restart (design D8):
// where the config says, else what systemd's StateDirectory= gives, else
// /var/lib/tandem when it can be written, or has something of before, which must
// not be forgotten because it can only be read now; else the user's state
// directory. The error is that of the last place tried; the path then is for the
// message.
func stateDir(configured string, env func(string) string) (string, error) {
	if configured != "" {
		return configured, usable(configured)
	}
	// systemd separates several directories by colons.
	if dir, _, _ := strings.Cut(env("STATE_DIRECTORY"), ":"); dir != "" {
		return dir, usable(dir)
	}
	if err := usable(systemStateDir); err == nil || keeps(systemStateDir) {
		return systemStateDir, err
	}
	dir := userStateDir(env)
	if dir == "" {
		return systemStateDir, errors.New("it cannot be written, and there is no HOME")
	}
	return dir, usable(dir)
}

// userStateDir is where the XDG base directories have a program keep its state.
func userStateDir(env func(string) string) string {
	if base := env("XDG_STATE_HOME"); base != "" {
		return filepath.Join(base, "tandem")
	}
	if home := env("HOME"); home != "" {
		return filepath.Join(home, ".local", "state", "tandem")
	}
	return ""
}

// keeps reports whether a node has left something in the directory.
func keeps(dir string) bool {
	for _, name := range []string{secretName, ordersName} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// usable makes the directory if need be and tries to write to it.
func usable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".try-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
