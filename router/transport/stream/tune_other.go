//go:build !linux

package stream

import "syscall"

// tuning changes nothing here.
func tuning(bool) func(network, address string, raw syscall.RawConn) error { return nil }
