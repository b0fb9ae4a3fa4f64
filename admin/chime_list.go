package admin

import (
	"net/http"
	"slices"
	"strings"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/store"
)

// mostScanned is how many numbers are looked at for one page. One that is found
// to have less than was asked for has a token all the same.
const mostScanned = 20_000

func (p *chime) listNumbers(w http.ResponseWriter, r *http.Request) error {
	m, err := p.stored()
	if err != nil {
		return err
	}
	q, err := p.phoneQuery(r, m.Snapshot())
	if err != nil {
		return err
	}
	list := struct {
		NextToken    string `json:",omitempty"`
		PhoneNumbers []PhoneNumber
	}{PhoneNumbers: []PhoneNumber{}}
	more := !q.none
	for scanned := 0; more && len(list.PhoneNumbers) < q.limit && scanned < mostScanned; {
		q.Limit = mostPage
		if !q.assigned {
			q.Limit = q.limit - len(list.PhoneNumbers)
		}
		page, err := m.Numbers(r.Context(), q.Query)
		if err != nil {
			return err
		}
		more, scanned = page.More, scanned+len(page.Numbers)
		for i := range page.Numbers {
			n := &page.Numbers[i]
			if n.Entry.Kind != catalog.Exact { // the others come behind all of these
				more = false
				break
			}
			if len(list.PhoneNumbers) == q.limit {
				more = true
				break
			}
			q.After = &n.Entry
			if !q.assigned || n.Owner.Kind != inventory.Nobody {
				list.PhoneNumbers = append(list.PhoneNumbers, phoneNumber(n))
			}
		}
	}
	if more && q.After != nil {
		list.NextToken = token(q.about + " " + q.After.String())
	}
	sayJSON(w, http.StatusOK, list)
	return nil
}

// phoneQuery is which numbers are wanted.
type phoneQuery struct {
	store.Query
	limit    int
	assigned bool   // to anybody
	none     bool   // there are none such
	about    string // the question, in a token
}

func (p *chime) phoneQuery(r *http.Request, s *inventory.Snapshot) (q phoneQuery, err error) {
	given, err := query(r, "status", "product-type", "filter-name", "filter-value", "max-results", "next-token")
	if err != nil {
		return q, err
	}
	status, product, name, value := given["status"], given["product-type"], given["filter-name"], given["filter-value"]
	switch status {
	case "":
	case statusUnassigned:
		q.Owner = new(inventory.Owner)
	case statusAssigned:
		q.assigned = true
	default:
		if q.none = slices.Contains(otherStatuses, status); !q.none {
			return q, invalid("Status", "is %q; write %s or %s", printed(status), statusAssigned, statusUnassigned)
		}
	}
	switch product {
	case "", productVoice:
	case productDialIn:
		q.none = true
	default:
		return q, invalid("ProductType", "is %q; write %s", printed(product), productVoice)
	}
	if name != "" || value != "" {
		var owner inventory.Owner
		switch {
		case value == "":
			return q, invalid("FilterValue", "is missing; write an ID")
		case name == voiceConnectorID:
			owner, err = s.OwnerOf(value, "")
		case name == voiceConnectorGroupID:
			owner, err = s.OwnerOf("", value)
		case name == "SipRuleId":
			return q, invalid("FilterName", "is %s, and there are no SIP rules here", name)
		default:
			return q, invalid("FilterName", "is %q; write %s or %s", printed(name), voiceConnectorID, voiceConnectorGroupID)
		}
		if err != nil {
			return q, err
		}
		q.none = q.none || q.Owner != nil // unassigned ones belong to nobody
		q.Owner, q.assigned = &owner, false
	}
	if q.limit, err = whole(given, "max-results", chimePage, chimePage); err != nil {
		return q, err
	}
	q.about = strings.Join([]string{status, name, value}, "/")
	text, err := tokenText(given["next-token"])
	if err != nil || text == "" {
		return q, err
	}
	after, ok := strings.CutPrefix(text, q.about+" ")
	entry, err := catalog.ParseEntry([]byte(after))
	if !ok || err != nil || entry.Kind != catalog.Exact || entry.String() != after {
		return q, badToken()
	}
	q.After = &entry
	return q, nil
}
