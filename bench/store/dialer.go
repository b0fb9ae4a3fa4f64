package main

import (
	"math/rand/v2"
	"sync"

	"tandem/bench/plan"
)

// dialer chooses the numbers that calls go to, and checks where they come out.
// While something is changed, a call may still come out at the old connector; one
// that begins after the answer may not.
type dialer struct {
	mu      sync.Mutex
	rnd     *rand.Rand
	owners  []uint8         // of each number: a bit for each owner that may have it
	reaches [few + 1]uint8  // of each owner: a bit for each connector that calls may come out at
	flights map[int]*flight // by call; one that is lost stays
	asked   []question      // numbers that are to be called next
	often   [2]int          // from, to: numbers that every fourth call goes to
	buf     []byte

	right, wrong           int // calls that came out where they should, or not
	asks                   int // numbers that were asked for
	askedRight, askedWrong int // and where their calls came out
}

// flight is a call whose INVITE has not come out yet.
type flight struct {
	number int
	may    uint8 // a bit for each connector
	verdict
}

// question is a number that is to be called, and who wants to know.
type question struct {
	number int
	verdict
}

// verdict is told, once, whether a call came out right; nil tells nobody.
type verdict chan bool

func newDialer(s settings) *dialer {
	d := &dialer{
		rnd: rand.New(rand.NewPCG(2, 2)), flights: make(map[int]*flight),
		owners: make([]uint8, s.numbers+s.rounds*s.imported), // and those that will be imported
	}
	for i := range s.numbers {
		if o := ownerOf(i, s.numbers); o != nobody {
			d.owners[i] = 1 << o
		}
	}
	for o, connector := range leads {
		d.reaches[o] = 1 << connector
	}
	return d
}

// connectors are the bits of those that a call to a number may come out at.
func (d *dialer) connectors(number int) (all uint8) {
	for o, reaches := range d.reaches {
		if d.owners[number]>>o&1 != 0 {
			all |= reaches
		}
	}
	return all
}

// giving begins a change after which numbers belong to an owner. Unassigned ones
// are called only when that is so.
func (d *dialer) giving(from, to int, o owner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := from; i < to; i++ {
		if d.owners[i] != 0 {
			d.owners[i] |= 1 << o
		}
	}
	d.widen()
}

// given says that numbers belong to an owner.
func (d *dialer) given(from, to int, o owner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := from; i < to; i++ {
		d.owners[i] = 1 << o
	}
}

// leading begins a change after which calls to an owner come out at a connector.
func (d *dialer) leading(o owner, connector int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reaches[o] |= 1 << connector
	d.widen()
}

// led says that they do.
func (d *dialer) led(o owner, connector int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reaches[o] = 1 << connector
}

// widen lets calls under way come out as those that begin now.
func (d *dialer) widen() {
	for _, f := range d.flights {
		f.may |= d.connectors(f.number)
	}
}

// ask has one of the next calls go to a number, after those that were asked for
// before.
func (d *dialer) ask(number int) verdict {
	q := question{number, make(verdict, 1)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, q)
	d.asks++
	return q.verdict
}

// prefer has every fourth call go to some numbers, once they have an owner.
func (d *dialer) prefer(from, to int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.often = [2]int{from, to}
}

// number is for load.Config.
func (d *dialer) number(call int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.next()
	d.flights[call] = &flight{q.number, d.connectors(q.number), q.verdict}
	d.buf = plan.Append(d.buf[:0], q.number)
	return d.buf
}

// next is what was asked for, or a random number that has an owner.
func (d *dialer) next() question {
	if len(d.asked) > 0 {
		q := d.asked[0]
		d.asked = d.asked[1:]
		return q
	}
	if from, to := d.often[0], d.often[1]; from < to && d.rnd.IntN(4) == 0 {
		if i := from + d.rnd.IntN(to-from); d.owners[i] != 0 {
			return question{number: i}
		}
	}
	for {
		if i := d.rnd.IntN(len(d.owners)); d.owners[i] != 0 {
			return question{number: i}
		}
	}
}

// reached is for load.Config.
func (d *dialer) reached(call, connector int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.flights[call]
	if f == nil {
		return
	}
	delete(d.flights, call)
	right := f.may>>connector&1 != 0
	if right {
		d.right++
	} else {
		d.wrong++
	}
	if f.verdict == nil {
		return
	}
	if right {
		d.askedRight++
	} else {
		d.askedWrong++
	}
	f.verdict <- right
}

// calls are counts of those that came out, and of those that were asked for.
type calls struct{ right, wrong, asks, askedRight, askedWrong int }

func (d *dialer) counts() calls {
	d.mu.Lock()
	defer d.mu.Unlock()
	return calls{d.right, d.wrong, d.asks, d.askedRight, d.askedWrong}
}
