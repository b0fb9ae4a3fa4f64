package table

import "tandem/config/number"

// draft is words that nobody reads yet. Its zero value is an empty one.
type draft struct {
	words *words
	used  int
}

// add gives k an owner. When it has one, add returns that and changes nothing.
func (d *draft) add(k number.Key, o owner) owner {
	a := d.written()
	if had, ok := a.get(k); ok {
		return had
	}
	if d.used >= fullAt(a.bits) {
		d.words = copied(a, roomy(d.used), a.mixer)
	}
	for !d.words.add(k, o) {
		d.words = copied(d.words, roomy(d.used), newMixer())
	}
	d.used++
	return o
}

// grow makes room for n more.
func (d *draft) grow(n int) {
	if bits := bitsFor(d.used + n); d.words == nil {
		d.words = newWords(bits, newMixer())
	} else if bits > d.words.bits {
		d.words = copied(d.words, d.used+n, d.words.mixer)
	}
}

// written returns the words, which are there from then on.
func (d *draft) written() *words {
	if d.words == nil {
		d.words = newWords(leastBits, newMixer())
	}
	return d.words
}
