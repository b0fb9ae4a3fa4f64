package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const secretBytes = 32

// keptSecret returns the secret in dir, and makes one when there is none. A
// file that is there but holds no secret is an error: writing a new one over it
// would break the dialogs of whoever signed with the old one.
func keptSecret(dir string) ([]byte, error) {
	path := filepath.Join(dir, secretName)
	secret, err := readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	secret = newSecret()
	err = writeSecret(path, secret)
	if errors.Is(err, fs.ErrExist) {
		return readSecret(path) // another process was faster
	}
	return secret, err
}

func newSecret() []byte {
	secret := make([]byte, secretBytes)
	_, _ = rand.Read(secret) // never fails: it ends the process instead
	return secret
}

// errSecret says that a file is not a secret.
var errSecret = errors.New("is not a secret of this program")

func readSecret(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(secret) != secretBytes {
		return nil, fmt.Errorf("%s %w (%d hexadecimal digits): restore it, or remove it to have a new one made; calls that are up lose their BYE then",
			path, errSecret, 2*secretBytes)
	}
	return secret, nil
}

// writeSecret puts a secret at path whole or not at all, and never over one
// that is there: fs.ErrExist.
func writeSecret(path string, secret []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = fmt.Fprintf(f, "%x\n", secret)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, does not replace. File systems without links
	// have to do with a rename.
	err = os.Link(f.Name(), path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the directory's entries last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
