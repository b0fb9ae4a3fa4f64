//go:build !linux

package transport

// Awake does nothing here.
type Awake struct{}

// Saw says that a message came.
func (*Awake) Saw(int64) {}
