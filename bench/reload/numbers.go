package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"tandem/bench/plan"
)

// blockSize is how many numbers change hands at a reload.
const blockSize = plan.Block

// numbers are those of two groups: six tenths are the first group's. The first
// block is sometimes the one's, sometimes the other's.
type numbers struct {
	count int
	dir   string
}

// owner is the group of a number, 0 or 1.
func (n numbers) owner(i, ofBlock int) int {
	switch {
	case i < blockSize:
		return ofBlock
	case i < n.count/10*6:
		return 0
	}
	return 1
}

func (n numbers) path(group int) string {
	return filepath.Join(n.dir, fmt.Sprintf("numbers-%d.txt", group))
}

func (n numbers) version(group, ofBlock int) string {
	return filepath.Join(n.dir, fmt.Sprintf("group-%d-block-%d.txt", group, ofBlock))
}

// write writes all files: each group's, with the block and without. The order
// of the lines is random.
func (n numbers) write() error {
	order := make([]uint32, n.count)
	for i := range order {
		order[i] = uint32(i)
	}
	rnd := rand.New(rand.NewPCG(1, uint64(n.count)))
	rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for group := range 2 {
		for ofBlock := range 2 {
			if err := n.writeOne(group, ofBlock, order); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n numbers) writeOne(group, ofBlock int, order []uint32) error {
	f, err := os.Create(n.version(group, ofBlock))
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	line := make([]byte, 0, 16)
	for _, i := range order {
		if n.owner(int(i), ofBlock) == group {
			line = append(plan.Append(line[:0], int(i)), '\n')
			if _, err := w.Write(line); err != nil {
				_ = f.Close()
				return err
			}
		}
	}
	if err := w.Flush(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// give makes the block a group's, in the files that the config names: each is
// replaced in one step.
func (n numbers) give(block int) error {
	for group := range 2 {
		next := n.path(group) + ".new"
		_ = os.Remove(next)
		if err := os.Link(n.version(group, block), next); err != nil {
			return err
		}
		if err := os.Rename(next, n.path(group)); err != nil {
			return err
		}
	}
	return nil
}

// dialer chooses the numbers that calls go to, and checks where they come out.
type dialer struct {
	numbers
	mu     sync.Mutex
	rnd    *rand.Rand
	want   map[int]int // the connector that a call should come to
	buf    []byte
	checks int // calls to the block that are to come next
	block  int // whose it is then

	right, wrong int // calls that reached whom they should, or not
	first        int // of the last check: 1 the first call was right, -1 wrong, 0 it is not there yet
	firstCall    int
}

func newDialer(n numbers) *dialer {
	return &dialer{numbers: n, rnd: rand.New(rand.NewPCG(2, 2)), want: make(map[int]int)}
}

// check has the next calls go to the block, which is a group's now.
func (d *dialer) check(block, calls int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.block, d.checks, d.first, d.firstCall = block, calls, 0, -1
}

// checked says whether the first of these calls came out right, once all have
// been placed.
func (d *dialer) checked() (first int, all bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.first, d.checks == 0
}

// number is a random one, or one of the block.
func (d *dialer) number(call int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.rnd.IntN(d.count)
	if d.checks > 0 {
		d.checks--
		i = d.rnd.IntN(blockSize)
		d.want[call] = d.block
		if d.firstCall < 0 {
			d.firstCall = call
		}
	} else if i >= blockSize { // whose the block is during a reload, nobody can say
		d.want[call] = d.owner(i, 0)
	}
	d.buf = plan.Append(d.buf[:0], i)
	return d.buf
}

// reached is told where a call came out.
func (d *dialer) reached(call, connector int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	want, known := d.want[call]
	if !known {
		return
	}
	delete(d.want, call)
	verdict := 1
	if connector == want {
		d.right++
	} else {
		verdict = -1
		d.wrong++
	}
	if call == d.firstCall {
		d.first = verdict
	}
}

// verdicts are the counts so far.
func (d *dialer) verdicts() (right, wrong int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.right, d.wrong
}
