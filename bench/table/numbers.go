package main

import (
	"fmt"
	"math/rand/v2"
)

// numbers is count numbers in blocks of ten thousand, as carriers own them,
// scattered over "+1", and as many blocks that are not owned. All are
// of one length, so that a list of them is one piece of memory.
type numbers struct {
	count  int
	blocks []int // the first half are owned
	rnd    *rand.Rand
}

const (
	blockSize = 10_000
	length    = 12
)

func newNumbers(count int) *numbers {
	n := &numbers{count: count, rnd: rand.New(rand.NewPCG(1, uint64(count)))}
	n.blocks = n.rnd.Perm(1_000_000)[:2*((count+blockSize-1)/blockSize)]
	return n
}

// hit is a number that is owned, miss one that is not; 0 <= i < count.
func (n *numbers) hit(i int) []byte  { return n.number(i, 0) }
func (n *numbers) miss(i int) []byte { return n.number(i, len(n.blocks)/2) }

func (n *numbers) number(i, from int) []byte {
	return fmt.Appendf(nil, "+1%06d%04d", n.blocks[from+i/blockSize], i%blockSize)
}

// draw is a list of numbers in random order.
func (n *numbers) draw(count int, of func(int) []byte) [][length]byte {
	list := make([][length]byte, count)
	for i := range list {
		list[i] = [length]byte(of(n.rnd.IntN(n.count)))
	}
	return list
}

// routeOf is the route of a number: a hundred thousand groups.
func routeOf(i int) uint32 { return uint32(i % 100_000) }
