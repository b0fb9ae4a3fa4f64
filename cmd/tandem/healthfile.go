package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"

	"tandem/config/catalog"
	"tandem/health"
)

// healthVersion is that of the form in which health is kept.
const healthVersion = 1

// longestAgo bounds times of a file: what is centuries old does not fit the
// clock of calls.
const longestAgo = 100 * 365 * 24 * time.Hour

// keptHealth is what was observed of hosts that are not plainly up, over
// restarts: health.json in the state directory. Times are those of people.
type keptHealth struct {
	Version int        `json:"version"`
	Saved   time.Time  `json:"saved"` // when all of it was so, at the latest
	Hosts   []keptHost `json:"hosts"`
}

// keptHost is a health.Memory.
type keptHost struct {
	URI      string         `json:"uri"`
	Address  netip.AddrPort `json:"address"`
	Listener string         `json:"listener"`

	State  string     `json:"state"`
	Since  time.Time  `json:"since,omitzero"`
	Reason keptReason `json:"reason"`

	Dead      bool      `json:"dead,omitempty"`
	Downs     int       `json:"downs,omitempty"`
	KeptUntil time.Time `json:"kept_until,omitzero"`
	BackAt    time.Time `json:"back_at,omitzero"`

	Ejected      bool       `json:"ejected,omitempty"`
	EjectedUntil time.Time  `json:"ejected_until,omitzero"`
	TrialAt      time.Time  `json:"trial_at,omitzero"`
	EjectHold    keptTime   `json:"eject_hold,omitempty"`
	ForgetAt     time.Time  `json:"forget_at,omitzero"`
	Ejection     keptReason `json:"ejection,omitzero"`

	ProbeFull bool      `json:"probe_full,omitempty"`
	FullUntil time.Time `json:"full_until,omitzero"`

	Doubt      bool      `json:"doubt,omitempty"`
	DoubtUntil time.Time `json:"doubt_until,omitzero"`
	Stalled    bool      `json:"stalled,omitempty"`
	Hold       keptTime  `json:"hold,omitempty"`

	Ramp         keptTime  `json:"ramp,omitempty"`
	RecoverUntil time.Time `json:"recover_until,omitzero"`
}

type keptReason struct {
	Event  string   `json:"event"`
	Last   string   `json:"last,omitempty"`
	Code   int16    `json:"code,omitempty"`
	Count  int32    `json:"count,omitempty"`
	For    keptTime `json:"for,omitempty"`
	Within keptTime `json:"within,omitempty"`
}

// keptTime is a time.Duration as the config writes it.
type keptTime time.Duration

func (d keptTime) MarshalText() ([]byte, error) {
	return []byte(catalog.Duration(time.Duration(d))), nil
}

func (d *keptTime) UnmarshalText(text []byte) error {
	t, err := time.ParseDuration(string(text))
	if err == nil && t < 0 {
		err = fmt.Errorf("%s is less than nothing", t)
	}
	*d = keptTime(t)
	return err
}

// healthFileText is the file that keeps list, whose times are of a clock that shows
// now at the time of day of saved.
func healthFileText(list []health.Memory, now int64, saved time.Time) ([]byte, error) {
	saved = saved.UTC().Round(0)
	wall := func(at int64) time.Time {
		if at == 0 {
			return time.Time{}
		}
		return saved.Add(time.Duration(at - now))
	}
	kept := keptHealth{Version: healthVersion, Saved: saved, Hosts: []keptHost{}}
	for _, m := range list {
		s := &m.Status
		kept.Hosts = append(kept.Hosts, keptHost{
			URI: m.Key.URI, Address: m.Key.Addr, Listener: m.Key.Listener,
			State: s.State.String(), Since: wall(s.Since), Reason: keptReasonOf(s.Reason),
			Dead: s.Dead, Downs: s.Downs, KeptUntil: wall(s.KeptUntil), BackAt: wall(s.BackAt),
			Ejected: s.Ejected, EjectedUntil: wall(s.EjectedUntil), TrialAt: wall(s.TrialAt),
			EjectHold: keptTime(s.EjectHold), ForgetAt: wall(s.ForgetAt), Ejection: keptReasonOf(s.Ejection),
			ProbeFull: s.ProbeFull, FullUntil: wall(s.FullUntil),
			Doubt: s.Doubt, DoubtUntil: wall(s.DoubtUntil), Stalled: s.Stalled, Hold: keptTime(s.Hold),
			Ramp: keptTime(s.Ramp), RecoverUntil: wall(s.RecoverUntil),
		})
	}
	text, err := json.MarshalIndent(kept, "", "  ")
	return append(text, '\n'), err
}

func keptReasonOf(r health.Reason) keptReason {
	kept := keptReason{Code: r.Code, Count: r.Count, For: keptTime(r.For), Within: keptTime(r.Within)}
	if r != (health.Reason{}) {
		kept.Event = r.Event.Word()
	}
	if r.Last != health.Nothing {
		kept.Last = r.Last.Word()
	}
	return kept
}

// readHealth returns what is kept in dir, as of a clock that shows now at the
// time of day, and its age: -1 when the time of day has been set back since.
// Without a file there is nothing.
func readHealth(dir string, now int64, day time.Time) (list []health.Memory, age time.Duration, err error) {
	text, err := readState(filepath.Join(dir, healthName))
	if err != nil || text == nil {
		return nil, 0, err
	}
	return parseHealth(text, now, day)
}

// parseHealth takes all of a file or nothing.
func parseHealth(text []byte, now int64, day time.Time) (list []health.Memory, age time.Duration, err error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return nil, 0, fmt.Errorf("it is damaged: %w", err)
	}
	if version.Version != healthVersion {
		return nil, 0, fmt.Errorf("it has version %d, this program writes %d", version.Version, healthVersion)
	}
	var kept keptHealth
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&kept); err != nil {
		return nil, 0, fmt.Errorf("it is damaged: %w", err)
	}
	// The times of the hosts are taken from when it was written, and not from now:
	// so a clock that was set meanwhile makes the age wrong and nothing else.
	then := now
	switch age = day.Sub(kept.Saved); {
	case age < 0:
		age = -1
	default:
		age = min(age, longestAgo)
		then -= int64(age)
	}
	for i := range kept.Hosts {
		m, err := kept.Hosts[i].memory(then, kept.Saved)
		if err != nil {
			return nil, 0, fmt.Errorf("it is damaged: hosts[%d]: %w", i, err)
		}
		list = append(list, m)
	}
	return list, age, nil
}

// memory is the host on a clock that showed then at the time of day of saved.
func (k *keptHost) memory(then int64, saved time.Time) (health.Memory, error) {
	var errs []error
	fail := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	at := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		ago := t.Sub(saved)
		fail(-longestAgo < ago && ago < longestAgo, "%s is too far away", t)
		if at := then + int64(ago); at != 0 {
			return at
		}
		return 1
	}
	reason := func(k keptReason) health.Reason {
		r := health.Reason{Code: k.Code, Count: k.Count, For: time.Duration(k.For), Within: time.Duration(k.Within)}
		var ok bool
		if k.Event != "" {
			r.Event, ok = health.EventOf(k.Event)
			fail(ok, "no event is called %q", k.Event)
		}
		if k.Last != "" {
			r.Last, ok = health.EventOf(k.Last)
			fail(ok, "no event is called %q", k.Last)
		}
		return r
	}
	state, ok := health.StateOf(k.State)
	fail(ok, "no state is called %q", k.State)
	fail(k.Address.IsValid(), "the host has no address")
	fail(k.Downs >= 0, "it was down %d times", k.Downs)
	m := health.Memory{
		Key: health.Key{URI: k.URI, Addr: k.Address, Listener: k.Listener},
		Status: health.Status{
			State: state, Since: at(k.Since), Reason: reason(k.Reason),
			Dead: k.Dead, Downs: k.Downs, KeptUntil: at(k.KeptUntil), BackAt: at(k.BackAt),
			Ejected: k.Ejected, EjectedUntil: at(k.EjectedUntil), TrialAt: at(k.TrialAt),
			EjectHold: time.Duration(k.EjectHold), ForgetAt: at(k.ForgetAt), Ejection: reason(k.Ejection),
			ProbeFull: k.ProbeFull, FullUntil: at(k.FullUntil),
			Doubt: k.Doubt, DoubtUntil: at(k.DoubtUntil), Stalled: k.Stalled, Hold: time.Duration(k.Hold),
			Ramp: time.Duration(k.Ramp), RecoverUntil: at(k.RecoverUntil),
		},
	}
	return m, errors.Join(errs...)
}
