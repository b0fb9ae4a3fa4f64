package router

import (
	"math/bits"
	"time"
)

// wheel holds the calls of one stripe by their next deadline. A slot has all of
// one tick, in no order. A deadline beyond the horizon waits in the last slot and
// is looked at again when that comes round. The links are in the calls, so that
// setting a timer costs no memory. A wheel is under its stripe's lock.
type wheel struct {
	slots [wheelSlots]*call
	used  [wheelSlots / 64]uint64
	tick  int64 // what was due before this one has been fired
	count int
}

const (
	wheelTick  = int64(10 * time.Millisecond)
	wheelSlots = 1024 // a horizon of about 10 s
)

// never is the deadline of nothing.
const never = int64(1<<63 - 1)

// onTick is the first tick at a deadline or after it. What may come so much later
// waits for that, with others, and costs no wake-up of its own.
func onTick(at int64) int64 {
	if at > never-wheelTick {
		return at
	}
	return (at + wheelTick - 1) / wheelTick * wheelTick
}

// set moves c to the slot of deadline at; never takes it out. What is past is due
// at once.
func (w *wheel) set(c *call, at, now int64) {
	if w.count == 0 {
		w.tick = max(w.tick, now/wheelTick) // an idle wheel has not been turned
	}
	c.deadline = at
	if at == never {
		w.remove(c)
		return
	}
	tick := min(max(at/wheelTick, w.tick), w.tick+wheelSlots-1)
	slot := int32(tick % wheelSlots)
	if c.slot == slot+1 {
		return
	}
	w.remove(c)
	c.slot = slot + 1
	c.timerPrev, c.timerNext = nil, w.slots[slot]
	if c.timerNext != nil {
		c.timerNext.timerPrev = c
	}
	w.slots[slot] = c
	w.used[slot/64] |= 1 << (slot % 64)
	w.count++
}

// remove takes c out, if it is in.
func (w *wheel) remove(c *call) {
	if c.slot == 0 {
		return
	}
	slot := c.slot - 1
	if c.timerPrev != nil {
		c.timerPrev.timerNext = c.timerNext
	} else if w.slots[slot] = c.timerNext; c.timerNext == nil {
		w.used[slot/64] &^= 1 << (slot % 64)
	}
	if c.timerNext != nil {
		c.timerNext.timerPrev = c.timerPrev
	}
	c.slot, c.timerPrev, c.timerNext = 0, nil, nil
	w.count--
}

// pop advances to now and returns one call that is due, taken out, or nil when
// there is none left. A call that only waited for its deadline to come within
// the horizon is put back.
func (w *wheel) pop(now int64) *call {
	target := now / wheelTick
	for ; w.count > 0; w.tick++ {
		var next *call
		for c := w.slots[w.tick%wheelSlots]; c != nil; c = next {
			next = c.timerNext
			if c.deadline <= now {
				w.remove(c)
				return c
			}
			if c.deadline/wheelTick > w.tick {
				w.set(c, c.deadline, now)
			}
		}
		if w.tick >= target {
			return nil
		}
	}
	w.tick = max(w.tick, target)
	return nil
}

// next returns when pop is worth calling again, or never.
func (w *wheel) next() int64 {
	if w.count == 0 {
		return never
	}
	start := w.tick % wheelSlots
	word, bit := start/64, start%64
	for i := int64(0); i <= wheelSlots/64; i++ {
		v := w.used[(word+i)%(wheelSlots/64)]
		if i == 0 {
			v &= ^uint64(0) << bit
		} else if i == wheelSlots/64 {
			v &= 1<<bit - 1
		}
		if v != 0 {
			slot := (word+i)%(wheelSlots/64)*64 + int64(bits.TrailingZeros64(v))
			return w.first(slot, w.tick+(slot-start+wheelSlots)%wheelSlots)
		}
	}
	return never
}

// first is when the slot of a tick is worth looking at: at its first deadline,
// or when the tick begins, if one is in it that only waits for the horizon.
func (w *wheel) first(slot, tick int64) int64 {
	begins, at := tick*wheelTick, never
	for c := w.slots[slot]; c != nil && at > begins; c = c.timerNext {
		if at = min(at, c.deadline); c.deadline/wheelTick > tick {
			at = begins
		}
	}
	return max(at, begins)
}
