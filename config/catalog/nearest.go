package catalog

// Nearest returns the name that word was probably meant to be, or "" when none
// is near: at most one edit in four characters, two at the least.
func Nearest(word string, names []string) string {
	const most = 1000 // names: a suggestion is not worth more time than that
	if len(names) > most || len(word) > MaxName {
		return ""
	}
	best, near := min(len(word)-1, max(2, len(word)/4))+1, ""
	for _, name := range names {
		if len(name) > MaxName {
			continue
		}
		if d := distance(word, name); d < best {
			best, near = d, name
		}
	}
	return near
}

// distance is the number of bytes to insert, delete or replace, or neighbours
// to swap, to make b of a.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
