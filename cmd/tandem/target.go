package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tandem/config"
)

const (
	defaultAdminURL = "http://" + config.DefaultAdmin

	keyEnv  = "TANDEM_KEY" // holds the key that a node is shown, unless a file does
	mostKey = 4 << 10      // bytes of a key file
)

// target is the node that a command asks, and what shows who asks.
type target struct {
	url     string // of its admin address
	keyFile string
}

// addTo gives a command the flags that say which node it asks.
func (t *target) addTo(cmd *cobra.Command, url, about string) {
	cmd.Flags().StringVar(&t.url, "admin", url, about)
	cmd.Flags().StringVar(&t.keyFile, "key-file", "", "a file with the key for a node that asks for one; without it the key is $"+keyEnv)
}

// request makes a request to the node, with the key if there is one.
func (t target) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	key, err := t.key()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, adminURL(t.url)+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("--admin: %w", err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	return req, nil
}

// key reads the key. There is no flag for the key itself: everybody on the
// machine can read the command lines of others.
func (t target) key() (string, error) {
	text, from := os.Getenv(keyEnv), "$"+keyEnv
	if t.keyFile != "" {
		file, err := os.Open(t.keyFile)
		if err != nil {
			return "", fmt.Errorf("--key-file: %w", err)
		}
		defer file.Close()
		read, err := io.ReadAll(io.LimitReader(file, mostKey))
		if err != nil {
			return "", fmt.Errorf("--key-file: %w", err)
		}
		text, from = string(read), t.keyFile
	}
	text = strings.TrimSpace(text)
	switch strange := func(r rune) bool { return r <= ' ' || r > '~' }; {
	case text == "" && t.keyFile != "":
		return "", fmt.Errorf("--key-file: %s is empty", from)
	case strings.ContainsFunc(text, strange):
		return "", errors.New(from + " holds no key: that is one word, as tandem key makes it")
	}
	return text, nil
}
