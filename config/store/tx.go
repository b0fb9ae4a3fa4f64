package store

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"tandem/config/inventory"
)

// The buckets of the file.
var (
	metaBucket       = []byte("tandem")      // the names below -> 8 bytes
	connectorBucket  = []byte("connectors")  // ID -> JSON
	groupBucket      = []byte("groups")      // ID -> JSON
	numberBucket     = []byte("numbers")     // blocks of exact numbers
	spanBucket       = []byte("spans")       // kind and keys -> record
	ownerBucket      = []byte("owners")      // kind and ID -> place, count
	placeBucket      = []byte("places")      // place -> kind and ID
	ownedBucket      = []byte("owned")       // place, blocks of exact numbers without records
	ownedSpansBucket = []byte("owned spans") // place, kind and keys -> nothing
)

var buckets = [][]byte{metaBucket, connectorBucket, groupBucket, numberBucket, spanBucket, ownerBucket, placeBucket, ownedBucket, ownedSpansBucket}

// Names in metaBucket.
var (
	schemaName   = []byte("schema")   // the version of all this
	revisionName = []byte("revision") // of the last commit
	catalogName  = []byte("catalog")  // the revision of the last commit that was not of exact numbers alone
)

// tx is a transaction of bolt with what stands in the file.
type tx struct {
	meta, connectors, groups, spans, ownedSpans *bbolt.Bucket

	numbers           list
	owned             *bbolt.Bucket
	owners            owners
	revision, catalog uint64
	bucketName        map[*bbolt.Bucket][]byte
}

var errMeta = fmt.Errorf("%w (what it says of itself)", errDamaged)

func newTx(t *bbolt.Tx) (*tx, error) {
	var found [9]*bbolt.Bucket
	names := make(map[*bbolt.Bucket][]byte, len(found))
	for i, name := range buckets {
		if found[i] = t.Bucket(name); found[i] == nil {
			return nil, errMeta
		}
		names[found[i]] = name
	}
	x := &tx{
		meta: found[0], connectors: found[1], groups: found[2], spans: found[4], ownedSpans: found[8],
		numbers: list{bucket: found[3]}, owned: found[7],
		owners:     owners{byName: found[5], byPlace: found[6], names: make(map[uint64]inventory.Owner)},
		bucketName: names,
	}
	var ok, okToo bool
	x.revision, ok = readNumber(x.meta, revisionName)
	x.catalog, okToo = readNumber(x.meta, catalogName)
	if !ok || !okToo {
		return nil, errMeta
	}
	return x, nil
}

// of returns the list of the exact numbers of the owner at a place.
func (t *tx) of(place uint64) list { return list{t.owned, placeKey(place)} }

func readNumber(b *bbolt.Bucket, name []byte) (uint64, bool) {
	value := b.Get(name)
	if len(value) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(value), true
}

func eightBytes(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
