package transport

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAwake(t *testing.T) {
	var a Awake
	at := int64(time.Hour)
	saw := func(after int64) bool {
		at += after
		a.Saw(at)
		return a.waiting.Load()
	}
	eventually := func(is bool, f func() bool, message string) {
		require.Eventually(t, func() bool { return f() == is }, 10*time.Second, time.Millisecond, message)
	}
	require.False(t, saw(0), "a message alone is not worth a goroutine")
	require.False(t, saw(int64(awakeFor)), "nor are two that are far apart")
	for range 2 {
		eventually(true, func() bool { return saw(1) }, "messages come closely, and no goroutine waits")
		eventually(false, a.waiting.Load, "nothing comes, and a goroutine waits on")
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { saw(int64(time.Second)) }))
}
