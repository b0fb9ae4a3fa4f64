package main

import (
	"context"
	"io"
	"time"

	"tandem/bench/describe"
	"tandem/bench/load"
	"tandem/bench/peer"
)

// orderly is what became of very many calls through one proxy.
type orderly struct {
	Proxy     string         `json:"proxy"`
	Rate      int            `json:"calls_per_second"`
	Calls     int            `json:"calls"`
	Failed    int            `json:"failed"`
	Overtaken map[string]int `json:"overtaken"` // by kind
	Again     int            `json:"retransmissions"`
	Lost      int            `json:"ringing_lost"`
	Drops     int            `json:"udp_receive_buffer_errors"`
	Odd       string         `json:"all"`
}

// reordered are messages that came after one that was sent later.
func (o orderly) reordered() (n int) {
	for _, count := range o.Overtaken {
		n += count
	}
	return n
}

// trial is a proxy that has to show its order.
type trial struct {
	proxy string
	calls int
	rate  int
}

// trials: a million calls through tandem, a tenth of it through Kamailio with
// two children, whose processes may overtake each other; at half of the highest
// rate, at most 5,000 a second.
func (s settings) trials(found []saturation) (all []trial) {
	for _, t := range []trial{{"tandem", s.Calls, 5000}, {"kamailio-2", s.Calls / 10, 1500}} {
		if half := rateOf(found, t.proxy) / 2; half > 0 {
			t.rate = min(half, 5000)
		}
		for _, name := range s.Proxies {
			if name == t.proxy {
				all = append(all, t)
			}
		}
	}
	return all
}

func (s *session) orders(ctx context.Context, l *ownLoad, found []saturation) (all []orderly, err error) {
	for _, t := range s.trials(found) {
		p := s.target(t.proxy)
		if err := l.recover(ctx, p); err != nil {
			return nil, err
		}
		before, err := peer.ReceiveErrors()
		if err != nil {
			return nil, err
		}
		l.g.Forget()
		w := l.g.Window("orders")
		run := l.place(ctx, p, float64(t.rate), t.calls)
		for tick := time.NewTicker(20 * time.Second); run != nil; {
			select {
			case err = <-run.done:
				tick.Stop()
				run = nil
			case <-tick.C:
				s.progress.say(s.out, "orders %-11s %6d/s  %s of %s calls", t.proxy, t.rate, describe.Number(w.Count(load.Begun)), describe.Number(t.calls))
				s.progress.done(min(20*time.Second, s.trialTime(t)))
			}
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		after, err := peer.ReceiveErrors()
		if err != nil {
			return nil, err
		}
		r := w.Report()
		o := orderly{
			Proxy: t.proxy, Rate: t.rate, Calls: r.Counts[load.Begun], Failed: r.Counts[load.Failed], Again: again(r),
			Lost: r.Counts[load.LostRinging], Drops: after - before, Overtaken: map[string]int{}, Odd: r.Odd(),
		}
		for _, kind := range []load.Kind{load.TryingLate, load.RingingLate, load.AckLate} {
			o.Overtaken[kind.String()] = r.Counts[kind]
		}
		all = append(all, o)
		s.progress.say(s.out, "orders %-11s %6d/s  %s calls, %d failed, %d overtaken", t.proxy, t.rate, describe.Number(o.Calls), o.Failed, o.reordered())
	}
	return all, nil
}

func (s settings) trialTime(t trial) time.Duration {
	return time.Duration(float64(t.calls) / float64(t.rate) * float64(time.Second))
}

// writeOrders renders what became of them.
func writeOrders(w io.Writer, all []orderly) {
	if len(all) == 0 {
		return
	}
	say(w, "\n## Order: very many calls\n\n")
	say(w, "A call has failed when an answer took longer than %v. Overtaken is a 100 or 180 that came after a later answer, or an ACK that\n"+
		"came after its BYE.\n\n", patience)
	say(w, "| proxy | calls/s | calls | failed | overtaken: 100 | 180 | ACK | retransmissions | 180 lost | lost in socket buffers |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, o := range all {
		say(w, "| %s | %d | %s | %d | %d | %d | %d | %d | %d | %d |\n", peer.About(o.Proxy), o.Rate, describe.Number(o.Calls), o.Failed,
			o.Overtaken[load.TryingLate.String()], o.Overtaken[load.RingingLate.String()], o.Overtaken[load.AckLate.String()], o.Again, o.Lost, o.Drops)
	}
	for _, o := range all {
		say(w, "\n%s: counted besides good calls: %s.\n", peer.About(o.Proxy), o.Odd)
	}
}
