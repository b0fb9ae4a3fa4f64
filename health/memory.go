package health

import (
	"time"

	"tandem/config/catalog"
)

// MemoryGood is how long what was known of a host is believed after nobody has
// looked any more. A host that was ill before is only doubtful then: tried after
// others until a probe says that it is well.
//
// It is longer than a restart or an update of the machine takes, during which a
// dead host stays dead more often than not. Believed too long it costs a little:
// calls find a host two good probes later than they could. Believed too short it
// costs calls, each of which waits for a dead host.
const MemoryGood = 5 * time.Minute

// Memory is what is worth keeping of a host over a restart of the program.
type Memory struct {
	Key    Key
	Status Status // see Status.Remember
}

// Remember returns what of s is worth keeping over a restart: the facts that
// keep calls away, and how often that was so. Counters of probes and of calls
// begin anew. worth is false when there is nothing: the host is plainly up.
func (s Status) Remember(now int64, set *catalog.Health) (kept Status, worth bool) {
	s = s.At(now)
	kept = Status{
		State: s.State, Since: s.Since, Reason: s.Reason,
		Dead: s.Dead, KeptUntil: s.KeptUntil,
		Ejected: s.Ejected, EjectedUntil: s.EjectedUntil, TrialAt: s.TrialAt, Ejection: s.Ejection,
		ProbeFull: s.ProbeFull, FullUntil: s.FullUntil,
		Doubt: s.Doubt, DoubtUntil: s.DoubtUntil, Stalled: s.Stalled, Hold: s.Hold,
		Ramp: s.Ramp, RecoverUntil: s.RecoverUntil,
	}
	if s.Dead || s.flapped(now, set) {
		kept.Downs, kept.BackAt = s.Downs, s.BackAt
	}
	if s.Ejected || now < s.ForgetAt {
		kept.EjectHold, kept.ForgetAt = s.EjectHold, s.ForgetAt
	}
	worth = kept.State != Up || kept.Downs > 0 || kept.EjectHold > 0 || kept.Hold > 0
	return kept, worth
}

// flapped says whether going down now would be flapping.
func (s *Status) flapped(now int64, set *catalog.Health) bool {
	return s.BackAt != 0 && now-s.BackAt < int64(set.FlapWindow)
}

// Shift returns s with all its times later by d: on another clock.
func (s Status) Shift(d int64) Status {
	for _, at := range []*int64{
		&s.Since, &s.KeptUntil, &s.BackAt, &s.EjectedUntil, &s.TrialAt, &s.ForgetAt, &s.JudgedFrom,
		&s.FullUntil, &s.DoubtUntil, &s.RecoverUntil, &s.LastProbe,
	} {
		if *at == 0 {
			continue // never
		}
		if *at += d; *at == 0 {
			*at = 1
		}
	}
	return s
}

// Restore returns the status at the time now of a host that was remembered, with
// the settings set. saved has times of the same clock as now, which for the past
// may be below 0; age is how long ago it was true at the latest, below 0 when
// that is not known. s is what is known since: where that is anything, it is
// better than any memory.
//
// What is believed is so as before: the state with its reason, and since when. A
// dead host waits for its good probes, an ejected one for its trial call, and
// both stay away for as long the next time as if the program had never ended. No
// time that saved has ahead of it is longer than it could be now, whatever the
// clock did meanwhile.
//
// What is older than MemoryGood is worth a doubt that the first good probe ends,
// or, without probes, one trial call.
func Restore(s, saved Status, age time.Duration, now int64, set *catalog.Health) Status {
	if s != (Status{}) || saved.Since > now || saved.BackAt > now {
		return s
	}
	if age < 0 || age > MemoryGood {
		return doubted(saved, now, set)
	}
	kept, _ := saved.Remember(now, set)
	s = kept
	s.Stalled = s.Stalled && !s.Dead
	if s.Doubt = s.Doubt && !s.Dead; !s.Doubt {
		s.DoubtUntil = 0
	}
	s.Hold = min(s.Hold, MaxDoubtHold)
	s.DoubtUntil = min(s.DoubtUntil, now+int64(max(s.Hold, holdOf(set))))
	s.FullUntil = min(s.FullUntil, now+int64(MaxRetryAfter))
	s.KeptUntil = min(s.KeptUntil, s.Since+int64(set.FlapWindow))
	if !s.Dead {
		s.KeptUntil = 0
	}
	s.restoreEjection(now, set)
	s.State = s.worst()
	if s.State != kept.State { // saved contradicts itself
		s.Since = now
	}
	if s.State == Ejected {
		s.Reason = s.Ejection
	}
	s.RecoverUntil = 0
	if s.State == Recovering {
		s.RecoverUntil = s.Since + int64(s.Ramp)
	}
	return Adopt(s, now, set)
}

// restoreEjection has the next trial call of an ejected host no later than one
// hold from now.
func (s *Status) restoreEjection(now int64, set *catalog.Health) {
	if set.EjectMax > 0 {
		s.EjectHold = min(s.EjectHold, set.EjectMax)
	}
	if !s.Ejected {
		s.EjectedUntil, s.TrialAt, s.Ejection = 0, 0, Reason{}
		s.ForgetAt = min(s.ForgetAt, now+int64(max(s.EjectHold, set.SlowStart)))
		return
	}
	s.EjectHold, s.ForgetAt = max(s.EjectHold, time.Millisecond), 0
	s.Ejection.For = s.EjectHold
	latest := now + int64(s.EjectHold)
	s.EjectedUntil = min(max(s.EjectedUntil, now), latest)
	s.TrialAt = min(max(s.TrialAt, s.EjectedUntil), latest)
}

// doubted is what an old memory is worth.
func doubted(saved Status, now int64, set *catalog.Health) (s Status) {
	if !saved.Dead && !saved.Ejected && !saved.Doubt && !saved.ProbeFull && saved.FullUntil == 0 {
		return s
	}
	s.Doubt = true
	last, code := saved.Reason.Event, saved.Reason.Code
	if last == FailedCalls || last == TrialFailed {
		last = saved.Reason.Last
	}
	s.settle(now, Reason{Event: Remembered, Last: last, Code: code})
	return Adopt(s, now, set)
}

// Remember returns what is worth keeping of all hosts, ordered by key. Times are
// those of the caller's clock.
func (r *Registry) Remember(now int64) (list []Memory) {
	r.Each(func(k Key, h *Host) {
		if kept, worth := h.Status().Remember(now, h.Settings()); worth {
			list = append(list, Memory{k, kept})
		}
	})
	return list
}

// Restore gives hosts the status that they had before a restart: see Restore, the
// function. It is for the start, when the registry has its hosts, their settings
// and regions, and nobody looks yet: no flip is told of hosts, for none happens
// now, but those of regions are. What is remembered of others is nothing to it.
// It returns what became of those that are not plainly up.
func (r *Registry) Restore(list []Memory, age time.Duration, now int64) (restored []Memory) {
	for _, m := range list {
		r.mu.RLock()
		h := r.hosts[m.Key]
		r.mu.RUnlock()
		if h == nil {
			continue
		}
		if s := h.restore(m.Status, age, now); s.State != Up {
			restored = append(restored, Memory{m.Key, s})
		}
	}
	return restored
}

// restore puts in force what Restore makes of saved. In the history it is the
// change that it was.
func (h *Host) restore(saved Status, age time.Duration, now int64) Status {
	h.mu.Lock()
	set := h.Settings()
	before := h.status
	after := Restore(before, saved, age, now, set)
	h.status = after
	h.word.Store(uint64(pack(&after, !set.Probe)))
	var told changes
	if told.add(&before, &after, after.Since); told.n > 0 {
		h.history = new(history)
		h.history.add(told.list[0])
	}
	if before.State.bad() != after.State.bad() {
		told.regions = h.registry.regions.mark(h, after.State.bad(), now)
	}
	h.mu.Unlock()
	h.registry.regions.tell(told.regions)
	return after
}
