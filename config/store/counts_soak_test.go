//go:build soak

package store

const (
	kills   = 500
	damages = 20_000
)
