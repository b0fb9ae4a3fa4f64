//go:build soak

package store

const (
	kills   = 500
	damages = 5_000
)
