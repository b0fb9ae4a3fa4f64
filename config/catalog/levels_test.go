package catalog

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// One field for each value of Failover, each with its own key.
func TestFailoverFields(t *testing.T) {
	all, other := FailoverField(0), otherFailover()
	keys := make(map[string]bool)
	for _, field := range FailoverFields {
		require.Zero(t, all&field)
		all |= field
		keys[field.Key()] = true
		was := DefaultFailover()
		is := was.With(FailoverPart{Set: field, Values: other}, all)
		require.Equal(t, 1, differences(was, is), field.Key())
		require.NotEqual(t, was.Text(field), is.Text(field), field.Key())
		require.Equal(t, was, was.With(FailoverPart{Set: field, Values: other}, ^field), field.Key())
	}
	require.Equal(t, OfTheCall|OfAnAttempt, all)
	require.Zero(t, OfTheCall&OfAnAttempt)
	require.Len(t, keys, reflect.TypeFor[Failover]().NumField())
	require.NotContains(t, keys, "")
	require.Equal(t, other, DefaultFailover().With(FailoverPart{Set: all, Values: other}, all))
	require.Equal(t, DefaultFailover(), DefaultFailover().With(FailoverPart{Values: other}, all))
	require.Empty(t, all.Key())
	require.Empty(t, other.Text(all))
}

func otherFailover() Failover {
	return Failover{
		Codes: NewCodes(503), FirstResponse: 1500 * time.Millisecond, Progress: time.Minute, NoAnswer: 90 * time.Second,
		TimerC: 2 * time.Hour, MaxRing: 20 * time.Second, AfterRinging: true, MaxAttempts: 2, SetupBudget: 5 * time.Second, WhenAllDown: RejectDown,
	}
}

// One field for each value of Health, each with its own key.
func TestHealthFields(t *testing.T) {
	all, other := HealthField(0), otherHealth()
	keys := make(map[string]bool)
	for _, field := range HealthFields {
		require.Zero(t, all&field)
		all |= field
		keys[field.Key()] = true
		was := DefaultHealth()
		is := was.With(HealthPart{Set: field, Values: other})
		require.Equal(t, 1, differences(was, is), field.Key())
		require.NotEqual(t, was.Text(field), is.Text(field), field.Key())
	}
	require.Len(t, keys, reflect.TypeFor[Health]().NumField())
	require.NotContains(t, keys, "")
	require.Equal(t, other, DefaultHealth().With(HealthPart{Set: all, Values: other}))
	require.Equal(t, DefaultHealth(), DefaultHealth().With(HealthPart{Values: other}))
	require.Empty(t, all.Key())
	require.Empty(t, other.Text(all))
}

func otherHealth() Health {
	return Health{
		Interval: time.Minute, FastInterval: 2 * time.Second, Timeout: 300 * time.Millisecond,
		DownAfter: 5, UpAfter: 1, DownCodes: NewCodes(), DoubtHold: time.Second,
		EjectTime: 2 * time.Second, EjectMax: time.Hour, Stall: 7 * time.Second, FlapHold: time.Minute, FlapWindow: 10 * time.Minute, MaxDetection: 9 * time.Second,
	}
}

// differences counts the fields in which two structs differ.
func differences[T any](a, b T) (n int) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		if !x.Field(i).Equal(y.Field(i)) {
			n++
		}
	}
	return n
}

func TestTexts(t *testing.T) {
	def, other := DefaultFailover(), otherFailover()
	var was, is []string
	for _, field := range FailoverFields {
		was = append(was, field.Key()+": "+def.Text(field))
		is = append(is, field.Key()+": "+other.Text(field))
	}
	require.Equal(t, []string{
		"codes: [408, 500, 502, 503, 504]", "first_response: 2s", "progress: 12s", "no_answer: off", "timer_c: 185s", "max_ring: 30m",
		"after_ringing: false", "max_attempts: 6", "exhausted_code: 503", "setup_budget: off", "when_all_down: try",
	}, was)
	require.Equal(t, []string{
		"codes: [503]", "first_response: 1.5s", "progress: 1m", "no_answer: 90s", "timer_c: 2h", "max_ring: 20s",
		"after_ringing: true", "max_attempts: 2", "exhausted_code: best", "setup_budget: 5s", "when_all_down: reject",
	}, is)
	health := otherHealth()
	is = nil
	for _, field := range HealthFields {
		is = append(is, field.Key()+": "+health.Text(field))
	}
	require.Equal(t, []string{
		"probe: false", "interval: 1m", "fast_interval: 2s", "timeout: 300ms", "down_after: 5", "up_after: 1", "down_codes: []", "doubt_hold: 1s",
		"eject_after: off", "eject_time: 2s", "eject_max: 1h", "stall: 7s", "slow_start: off", "flap_hold: 1m", "flap_window: 10m", "max_detection: 9s",
	}, is)
}

func TestHealthLevels(t *testing.T) {
	every := func(d time.Duration) HealthPart {
		return HealthPart{Set: FieldInterval, Values: Health{Interval: d}}
	}
	down := HealthPart{Set: FieldDownAfter, Values: Health{DownAfter: 9}}
	c := &Catalog{
		Connectors: []Connector{{Name: "east", Health: every(time.Minute)}, {Name: "west"}, {Name: "alone"}},
		Groups: []Group{
			{Name: "sales", Connectors: []Member{{Connector: "west"}, {Connector: "east"}, {Connector: "gone"}}, Health: down},
			{Name: "silent", Connectors: []Member{{Connector: "west"}}},
			{Name: "support", Connectors: []Member{{Connector: "east"}}, Health: every(time.Second)},
		},
	}
	levels := c.HealthLevels(0)
	require.Equal(t, []HealthLevel{{"group sales", down}, {"group support", every(time.Second)}, {"connector east", every(time.Minute)}}, levels)
	require.Equal(t, []HealthLevel{{"group sales", down}}, c.HealthLevels(1))
	require.Empty(t, c.HealthLevels(2))

	east := c.HealthFor(0, DefaultHealth())
	require.Equal(t, time.Minute, east.Interval)
	require.Equal(t, 9, east.DownAfter)
	require.Equal(t, DefaultHealth(), c.HealthFor(2, DefaultHealth()))
	require.Equal(t, "connector east", HealthOrigin(levels, FieldInterval, "global"))
	require.Equal(t, "group sales", HealthOrigin(levels, FieldDownAfter, "global"))
	require.Equal(t, "default", HealthOrigin(levels, FieldProbe, "default"))

	require.Equal(t, &c.Groups[1], c.Group("silent"))
	require.Nil(t, c.Group("gone"))
}

// A short interval lowers the defaults that are longer, and nothing else.
func TestHealthFit(t *testing.T) {
	h := DefaultHealth()
	require.Equal(t, h, h.Fit())
	h.Interval = 500 * time.Millisecond
	require.Equal(t, 500*time.Millisecond, h.Fit().FastInterval)
	require.Equal(t, 500*time.Millisecond, h.Fit().Timeout)
	require.Equal(t, Health{Timeout: time.Second}, Health{Timeout: time.Second}.Fit())
	c := &Catalog{Connectors: []Connector{{Name: "east", Health: HealthPart{Set: FieldInterval, Values: h}}}}
	require.Equal(t, h.Fit(), c.HealthFor(0, DefaultHealth()))
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]string{
		"0s": "0s", "10ms": "10ms", "1.5s": "1.5s", "60s": "1m", "61s": "61s", "185s": "185s", "90m": "1h30m", "24h": "24h", "1h0m1s": "3601s",
		"1m0.5s": "1m0.5s", "10m": "10m", "10h10m": "10h10m",
	} {
		d, err := time.ParseDuration(text)
		require.NoError(t, err)
		require.Equal(t, want, Duration(d))
	}
}
