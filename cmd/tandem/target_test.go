package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every command that asks a node shows it the key, from a file or the environment.
func TestKeyIsShown(t *testing.T) {
	var shown string
	node := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
		shown = r.Header.Get("Authorization")
		http.Error(w, "no", http.StatusTeapot)
	})
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("of-the-file\n"), 0o600))
	for _, args := range [][]string{
		{"orders"}, {"health"}, {"calls"}, {"calls", "--follow"}, {"explain", "100"}, {"region", "evacuate", "us"},
	} {
		args = append(args, "--admin", node.URL)
		for _, c := range []struct{ env, want string }{{"", ""}, {" of-env ", "Bearer of-env"}} {
			t.Setenv(keyEnv, c.env)
			_, _, code := command(t, args...)
			require.Equal(t, exitFailed, code)
			require.Equal(t, c.want, shown, args)
		}
		_, _, code := command(t, append(args, "--key-file", file)...)
		require.Equal(t, exitFailed, code)
		require.Equal(t, "Bearer of-the-file", shown, args)
	}
}

func TestKeyErrors(t *testing.T) {
	dir := t.TempDir()
	empty, two := filepath.Join(dir, "empty"), filepath.Join(dir, "two")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	require.NoError(t, os.WriteFile(two, []byte("one\ntwo\n"), 0o600))
	for file, want := range map[string]string{
		filepath.Join(dir, "none"): "--key-file: open ",
		empty:                      "--key-file: " + empty + " is empty",
		two:                        two + " holds no key: that is one word",
	} {
		_, errs, code := command(t, "orders", "--key-file", file)
		require.Equal(t, exitFailed, code)
		require.Contains(t, errs, want)
	}
	t.Setenv(keyEnv, "naïve")
	_, errs, _ := command(t, "orders")
	require.Contains(t, errs, "$TANDEM_KEY holds no key")
}

// A key is for the node that it was given for: whom it names is not asked.
func TestKeyGoesNowhereElse(t *testing.T) {
	other := newFakeNode(t, func(http.ResponseWriter, *http.Request) { t.Error("somebody else was asked") })
	node := newFakeNode(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	t.Setenv(keyEnv, "secret")
	_, errs, code := command(t, "orders", "--admin", node.URL)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errs, "307 Temporary Redirect")
}

// Where a key is needed the node's own words say so, and where it goes.
func TestKeyIsAskedFor(t *testing.T) {
	node := newFakeNode(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"a key is needed","code":"unauthorized"}`))
	})
	for _, args := range [][]string{{"orders"}, {"calls"}} {
		_, errs, code := command(t, append(args, "--admin", node.URL)...)
		require.Equal(t, exitFailed, code)
		require.Equal(t, "a key is needed\ngive the key by --key-file FILE, or in $TANDEM_KEY\n", errs)
	}
}
