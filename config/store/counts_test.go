//go:build !soak

package store

const (
	kills   = 30
	damages = 150
)
