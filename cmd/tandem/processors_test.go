package main

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpareProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	set := func(value string) func(string) string { return func(string) string { return value } }

	runtime.GOMAXPROCS(2)
	require.False(t, spareProcessors(2, set("2")), "what the operator has set stays")
	require.Equal(t, 2, runtime.GOMAXPROCS(0))
	runtime.GOMAXPROCS(3)
	require.True(t, spareProcessors(1, set("3")))
	require.False(t, spareProcessors(1000, set("")), "too many")
	require.True(t, spareProcessors(2, set("")))
	require.Equal(t, 4, runtime.GOMAXPROCS(0))
	require.True(t, spareProcessors(1, set("")), "another node in this process may need them")
	require.Equal(t, 4, runtime.GOMAXPROCS(0))
}
