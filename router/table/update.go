package table

// Set leads a number to route, wherever it led before. The number is added when
// it is not there.
func (t *Table) Set(number string, route uint32) error {
	k, err := numberKey(number)
	if err != nil {
		return err
	}
	t.exact.set(k, owner(route))
	return nil
}

// Exclude makes a number lead nowhere, whatever ranges and prefixes hold it.
func (t *Table) Exclude(number string) error {
	k, err := numberKey(number)
	if err != nil {
		return err
	}
	t.exact.set(k, excluded)
	return nil
}

// Delete removes what Set or Exclude, Add of a Builder too, has said of a
// number. It leads to the range or prefix that holds it, if there is one. It
// reports whether there was anything to remove.
func (t *Table) Delete(number string) (bool, error) {
	k, err := numberKey(number)
	if err != nil {
		return false, err
	}
	return t.exact.remove(k), nil
}

// Move leads the exact numbers from first to last, both included, that lead to
// from to another route, and returns how many. They move one by one: at every
// moment each of them leads to one of the two.
func (t *Table) Move(first, last string, from, to uint32) (int, error) {
	low, high, err := numberKeys(first, last)
	if err != nil {
		return 0, err
	}
	return t.exact.move(low, high, owner(from), owner(to)), nil
}

// MoveNumber leads one exact number that leads to from to another route. It
// reports false and changes nothing when it does not lead there.
func (t *Table) MoveNumber(number string, from, to uint32) (bool, error) {
	k, err := numberKey(number)
	if err != nil {
		return false, err
	}
	return t.exact.change(k, owner(from), owner(to)), nil
}

// Settle returns when no resize is under way. Lookups need not wait for that;
// tests and measurements do.
func (t *Table) Settle() { t.exact.settle() }
