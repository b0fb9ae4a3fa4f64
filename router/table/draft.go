package table

// draft is words that nobody reads yet. Its zero value is an empty one.
type draft struct {
	words *words
	used  int
}

// add gives k an owner. When it has one, add returns that and changes nothing.
func (d *draft) add(k key, o owner) owner {
	if d.words == nil {
		d.words = newWords(leastBits, newMixer())
	}
	if had, ok := d.words.get(k); ok {
		return had
	}
	if d.used >= fullAt(d.words.groupBits()) {
		d.words = copied(d.words, roomy(d.used), d.words.mixer)
	}
	for !put(d.words, k, o) {
		d.words = copied(d.words, roomy(d.used), newMixer())
	}
	d.used++
	return o
}

// clone returns words of its own, which may be larger than they must.
func (d *draft) clone() *words {
	if d.words == nil {
		return newWords(leastBits, newMixer())
	}
	return d.words.clone()
}
