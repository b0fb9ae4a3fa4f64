package router

import (
	"math/bits"
	"time"
)

// wheel holds the calls of one stripe by their next deadline. A deadline
// beyond the horizon waits in the last slot and is looked at again when that
// comes round. The links are in the calls, so that setting a timer costs no
// memory. A wheel is under its stripe's lock.
type wheel struct {
	slots [wheelSlots]*call
	used  [wheelSlots / 64]uint64
	tick  int64 // ticks up to this one have been fired
	count int
}

const (
	wheelTick  = int64(10 * time.Millisecond)
	wheelSlots = 1024 // a horizon of about 10 s
)

// never is the deadline of nothing.
const never = int64(1<<63 - 1)

// set moves c to the slot of deadline at; never takes it out.
func (w *wheel) set(c *call, at, now int64) {
	c.deadline = at
	if w.count == 0 {
		w.tick = max(w.tick, now/wheelTick) // an idle wheel has not been turned
	}
	if at == never {
		w.remove(c)
		return
	}
	tick := (at + wheelTick - 1) / wheelTick // rounded up: a timer is never early
	tick = max(tick, w.tick+1)
	tick = min(tick, w.tick+wheelSlots-1)
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
	for w.tick < target {
		if w.count == 0 {
			w.tick = target
			return nil
		}
		slot := (w.tick + 1) % wheelSlots
		c := w.slots[slot]
		if c == nil {
			w.tick++
			continue
		}
		w.remove(c)
		if c.deadline > now {
			// Its slot would be the one we stand on: step over it first.
			if w.slots[slot] == nil {
				w.tick++
			}
			w.set(c, c.deadline, now)
			continue
		}
		return c
	}
	return nil
}

// next returns when pop is worth calling again, or never.
func (w *wheel) next() int64 {
	if w.count == 0 {
		return never
	}
	start := (w.tick + 1) % wheelSlots
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
			ahead := (slot - start + wheelSlots) % wheelSlots
			return (w.tick + 1 + ahead) * wheelTick
		}
	}
	return never
}
