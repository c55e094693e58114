package corpus

import (
	"encoding/binary"
	"math"
)

// Near duplicates are found by MinHash (Broder 1997) over shingles of five
// terms, in 14 bands of 8 rows: a pair of similarity s meets in some band with
// probability 1-(1-s^8)^14, which is half at about 0.69 and turns at
// (1/14)^(1/8) = 0.72. Pairs that meet are then compared over all 112 rows
// and count as duplicates from 0.72 on, which bands alone would blur.
const (
	shingleTerms   = 5
	bands          = 14
	bandRows       = 8
	signatureRows  = bands * bandRows
	similarRows    = 81                // of 112: the least count at or above 0.72
	signatureBytes = signatureRows * 2 // 16 bits a row are kept: chance agreement 1/65536
)

// nearThreshold is the similarity from which two documents are near duplicates.
const nearThreshold = float64(similarRows) / signatureRows

type signature [signatureRows]uint32

// rowKeys are the multipliers and offsets of the rows' hash functions,
// multiply-add-shift (Dietzfelbinger 1996), drawn from splitmix64.
var rowKeys = func() (keys [signatureRows][2]uint64) {
	state := uint64(0x67616f6e)
	for i := range keys {
		for k := range keys[i] {
			state += hashMul
			keys[i][k] = mix(state)
		}
		keys[i][0] |= 1
	}
	return keys
}()

// sketch fills the signature of a text of these terms. A text shorter than a
// shingle is one shingle.
func sketch(s *signature, terms []uint64, w *rolling) {
	for i := range s {
		s[i] = math.MaxUint32
	}
	w.reset(terms)
	size := min(shingleTerms, len(terms))
	for i := 0; i+size <= len(terms); i++ {
		x := w.window(i, size)
		for k := range s {
			if v := uint32((x*rowKeys[k][0] + rowKeys[k][1]) >> 32); v < s[k] {
				s[k] = v
			}
		}
		if size == 0 {
			return
		}
	}
}

// band returns the key of a band. The language is part of it: duplicates are
// sought within a language.
func (s *signature) band(i int, lang uint64) uint64 {
	h := lang + uint64(i)*hashMul
	for _, v := range s[i*bandRows : (i+1)*bandRows] {
		h = mix(h ^ uint64(v))
	}
	return h
}

func (s *signature) append(dst []byte) []byte {
	for _, v := range s {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(v))
	}
	return dst
}

// agreement counts the rows in which two stored signatures agree.
func agreement(a, b []byte) int {
	n := 0
	for i := 0; i < signatureBytes; i += 2 {
		if a[i] == b[i] && a[i+1] == b[i+1] {
			n++
		}
	}
	return n
}
