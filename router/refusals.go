package router

import "sync/atomic"

// refusals remember which INVITEs were refused without state lately, in a fixed
// table of words: 35 bits of a hash of the request, 5 of the reason, 24 of the
// second. What was refused for a reason that has gone since (a rate, a number that came with
// a reload) must not be let in by a retransmission: its caller has taken the
// refusal, and the phone would ring for nobody. Of two keys that share a word
// the later one takes it over.
type refusals [8192]atomic.Uint64

// refusalStatus is what each of these reasons is answered with.
var refusalStatus = [rejections]int{
	rejectURI: 400, rejectScheme: 416, rejectMaxForwards: 483, rejectLoop: 482, rejectMaxBreadth: 440, rejectProxyRequire: 420,
	rejectNoDialog: 481, rejectForeignRoute: 403, rejectDraining: 503, rejectFull: 503, rejectNoRoute: 404, rejectTooLarge: 513, rejectNoTLS: 480, rejectRate: 503,
}

func (t *refusals) word(key uint64) *atomic.Uint64 { return &t[key/stripes%uint64(len(t))] }

// note remembers that the INVITE with this key was refused.
func (t *refusals) note(key uint64, a admission, now int64) {
	t.word(key).Store(key>>29<<29 | uint64(a.why)<<24 | uint64(now/second)&0xffffff)
}

// of returns how the INVITE with this key was refused less than 64·T1 ago; the
// zero admission when it was not.
func (t *refusals) of(key uint64, now int64) admission {
	w := t.word(key).Load()
	age := (uint64(now/second) - w) & 0xffffff
	if w>>29 != key>>29 || age > uint64(timerB/second) {
		return admission{}
	}
	why := rejection(w >> 24 & 31)
	return admission{status: refusalStatus[why], why: why}
}
