package transport

import "time"

// base is where the clock starts. It never changes.
var base = time.Now()

// Now returns the nanoseconds on the monotonic clock that Handler methods are
// given. It starts near zero when the process does.
func Now() int64 { return int64(time.Since(base)) }
