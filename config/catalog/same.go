package catalog

import (
	"bytes"
	"slices"
)

// SameNumbers reports whether every owner, by its name, has in both catalogs
// the numbers that it has in the other, written the same way. Owners without
// numbers do not count. Numbers that are not sealed are not looked at: they
// are not the same.
func (c *Catalog) SameNumbers(other *Catalog) bool {
	mine, theirs := c.holdings(), other.holdings()
	if len(mine) != len(theirs) {
		return false
	}
	for owner, m := range mine {
		if t, ok := theirs[owner]; !ok || !slices.Equal(m.List, t.List) || !m.Files.same(t.Files) {
			return false
		}
	}
	return true
}

// holder is a group or a connector.
type holder struct {
	name  string
	group bool
}

func (c *Catalog) holdings() map[holder]Side {
	all := make(map[holder]Side)
	for i := range c.Groups {
		if g := &c.Groups[i]; g.HasNumbers() {
			all[holder{g.Name, true}] = Side{g.Numbers, g.FileNumbers}
		}
	}
	for i := range c.Connectors {
		if cc := &c.Connectors[i]; cc.HasNumbers() {
			all[holder{cc.Name, false}] = Side{cc.Numbers, cc.FileNumbers}
		}
	}
	return all
}

// same reports whether both are sealed and have the same entries.
func (s *NumberSet) same(other *NumberSet) bool {
	for kind := range kinds {
		if s.unsealed() || other.unsealed() || !bytes.Equal(s.packed(kind), other.packed(kind)) {
			return false
		}
	}
	return true
}

func (s *NumberSet) unsealed() bool { return s != nil && s.files != nil }

func (s *NumberSet) packed(kind int) []byte {
	if s == nil {
		return nil
	}
	return s.sorted[kind].data
}
