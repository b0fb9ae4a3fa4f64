package inventory

import "crypto/rand"

const (
	idLength = 22
	idDigits = "abcdefghijklmnopqrstuvwxyz0123456789"
)

// NewID returns 22 random lower-case letters and digits: 113 bits, so that no two
// are ever the same.
func NewID() string {
	id := make([]byte, 0, idLength)
	var random [2 * idLength]byte
	for {
		_, _ = rand.Read(random[:]) // it never fails
		for _, b := range random {
			// The largest bytes would make the first letters more likely.
			if int(b) >= 256/len(idDigits)*len(idDigits) {
				continue
			}
			if id = append(id, idDigits[int(b)%len(idDigits)]); len(id) == idLength {
				return string(id)
			}
		}
	}
}
