package router

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/config/catalog"
	"tandem/health"
)

func TestOptionsThatCannotWork(t *testing.T) {
	good := func() Options {
		return Options{
			Listeners: []Listener{{Addr: ownAddr}},
			Secrets:   [][]byte{[]byte("0123456789abcdef")},
			Health:    health.NewRegistry(health.Options{Settings: catalog.DefaultHealth()}),
		}
	}
	for text, spoil := range map[string]func(*Options){
		"no listener":                            func(o *Options) { o.Listeners = nil },
		"17 listeners; at most 16":               func(o *Options) { o.Listeners = make([]Listener, 17) },
		"no secret":                              func(o *Options) { o.Secrets = nil },
		"a secret has 5 bytes, needs 16 or more": func(o *Options) { o.Secrets = append(o.Secrets, []byte("short")) },
		`advertised address ":5060" has no host`: func(o *Options) { o.Listeners[0].Advertise = ":5060" },
	} {
		opts := good()
		spoil(&opts)
		_, err := New(opts, twoRegions())
		require.ErrorContains(t, err, text)
	}
	_, err := New(good(), twoRegions())
	require.NoError(t, err)
}
