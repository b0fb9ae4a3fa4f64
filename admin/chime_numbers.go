package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"tandem/config/catalog"
	"tandem/config/inventory"
	"tandem/config/manage"
	"tandem/config/store"
)

// PhoneNumber is a number in the Chime API. Ranges and prefixes are not there.
type PhoneNumber struct {
	Associations     []PhoneNumberAssociation
	Capabilities     map[string]bool
	CreatedTimestamp *time.Time `json:",omitempty"`
	E164PhoneNumber  string
	PhoneNumberId    string
	ProductType      string
	Status           string
	UpdatedTimestamp *time.Time `json:",omitempty"`
}

// PhoneNumberAssociation is whom a number belongs to.
type PhoneNumberAssociation struct {
	AssociatedTimestamp *time.Time `json:",omitempty"`
	Name                string     // VoiceConnectorId or VoiceConnectorGroupId
	Value               string
}

// PhoneNumberError is why nothing became of a number.
type PhoneNumberError struct {
	ErrorCode     string
	ErrorMessage  string
	PhoneNumberId string
}

// Words of that API.
const (
	voiceConnectorID      = "VoiceConnectorId"
	voiceConnectorGroupID = "VoiceConnectorGroupId"
	productVoice          = "VoiceConnector"
	productDialIn         = "SipMediaApplicationDialIn"
	statusAssigned        = "Assigned"
	statusUnassigned      = "Unassigned"
)

// otherStatuses are of numbers that are not here.
var otherStatuses = []string{
	"Cancelled", "PortinCancelRequested", "PortinInProgress", "AcquireInProgress", "AcquireFailed", "ReleaseInProgress", "DeleteInProgress", "ReleaseFailed", "DeleteFailed",
}

func phoneNumber(n *inventory.Number) PhoneNumber {
	v := PhoneNumber{
		Associations: []PhoneNumberAssociation{}, Capabilities: map[string]bool{
			"InboundCall": true, "InboundMMS": false, "InboundSMS": false, "OutboundCall": false, "OutboundMMS": false, "OutboundSMS": false,
		},
		CreatedTimestamp: stamp(n.Created), E164PhoneNumber: n.Entry.String(), PhoneNumberId: n.Entry.String(),
		ProductType: productVoice, Status: statusUnassigned, UpdatedTimestamp: stamp(n.Updated),
	}
	name := ""
	switch n.Owner.Kind {
	case inventory.ConnectorOwner:
		name = voiceConnectorID
	case inventory.GroupOwner:
		name = voiceConnectorGroupID
	default:
		return v
	}
	v.Status = statusAssigned
	v.Associations = append(v.Associations, PhoneNumberAssociation{stamp(n.Updated), name, n.Owner.ID})
	return v
}

// e164 reads numbers as that API has them: no ranges, no prefixes.
func e164(field string, numbers []string) ([]catalog.Entry, error) {
	if len(numbers) == 0 {
		return nil, invalid(field, "is empty; write phone numbers")
	}
	entries, err := entriesOf(numbers)
	if err != nil {
		if f, ok := err.(*Failure); ok {
			f.Field = strings.Replace(f.Field, "numbers", field, 1)
		}
		return nil, err
	}
	for _, e := range entries {
		if e.Kind != catalog.Exact {
			return nil, invalid(field, "has %s; ranges and prefixes are managed at /v1/numbers", e)
		}
	}
	return entries, nil
}

// connectorNumbers associates numbers with a voice connector, or ends that.
func (p *chime) connectorNumbers(w http.ResponseWriter, r *http.Request) error {
	return p.numbersFor(w, r, func(s *inventory.Snapshot, ref string) (inventory.Owner, error) { return s.OwnerOf(ref, "") })
}

// groupNumbers does so with a group.
func (p *chime) groupNumbers(w http.ResponseWriter, r *http.Request) error {
	return p.numbersFor(w, r, func(s *inventory.Snapshot, ref string) (inventory.Owner, error) { return s.OwnerOf("", ref) })
}

func (p *chime) numbersFor(w http.ResponseWriter, r *http.Request, ownerOf func(*inventory.Snapshot, string) (inventory.Owner, error)) error {
	m, a, err := p.change(r, "", "operation")
	if err != nil {
		return err
	}
	ref, err := refOf(r, "ref")
	if err != nil {
		return err
	}
	var op func(e *inventory.Editor, found []inventory.Found, owner inventory.Owner) (inventory.Change, []inventory.NumberRefusal, error)
	var entries []catalog.Entry
	switch operation := r.URL.Query().Get("operation"); operation {
	case "associate-phone-numbers":
		var body struct {
			E164PhoneNumbers []string `json:"E164PhoneNumbers"`
			ForceAssociate   *bool    `json:"ForceAssociate"`
		}
		if err := read(r, &body); err != nil {
			return err
		}
		a.What = "assign numbers"
		op = func(e *inventory.Editor, found []inventory.Found, owner inventory.Owner) (inventory.Change, []inventory.NumberRefusal, error) {
			return e.AssignNumbers(found, owner, body.ForceAssociate != nil && *body.ForceAssociate)
		}
		entries, err = e164("E164PhoneNumbers", body.E164PhoneNumbers)
	case "disassociate-phone-numbers":
		var body struct {
			E164PhoneNumbers []string `json:"E164PhoneNumbers"`
		}
		if err := read(r, &body); err != nil {
			return err
		}
		a.What = "unassign numbers"
		op = func(e *inventory.Editor, found []inventory.Found, owner inventory.Owner) (inventory.Change, []inventory.NumberRefusal, error) {
			return e.UnassignNumbers(found, &owner)
		}
		entries, err = e164("E164PhoneNumbers", body.E164PhoneNumbers)
	default:
		return invalid("operation", "is %q; write associate-phone-numbers or disassociate-phone-numbers", printed(operation))
	}
	if err != nil {
		return err
	}
	_, refusals, err := m.EditNumbers(r.Context(), a, entries, func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		owner, err := ownerOf(e.Snapshot, ref)
		if err != nil {
			return inventory.Change{}, nil, err
		}
		return op(e, found, owner)
	})
	if err != nil {
		return err
	}
	answer := struct{ PhoneNumberErrors []PhoneNumberError }{[]PhoneNumberError{}}
	for _, one := range refusals {
		answer.PhoneNumberErrors = append(answer.PhoneNumberErrors, PhoneNumberError{
			chimeErrors[refusalCode(one.Refusal.Reason)].name, one.Refusal.Text, one.Entry.String(),
		})
	}
	sayJSON(w, http.StatusOK, answer)
	return nil
}

func (p *chime) getNumber(w http.ResponseWriter, r *http.Request) error {
	m, err := p.stored()
	if err != nil {
		return err
	}
	n, err := p.theNumber(r.Context(), m, r.PathValue("number"))
	if err != nil {
		return err
	}
	sayJSON(w, http.StatusOK, struct{ PhoneNumber PhoneNumber }{phoneNumber(n)})
	return nil
}

func (p *chime) theNumber(ctx context.Context, m *manage.Manager, text string) (*inventory.Number, error) {
	n, err := oneOf(ctx, m, text)
	if err == nil && n.Entry.Kind != catalog.Exact {
		return nil, invalid("PhoneNumberId", "is no number; ranges and prefixes are managed at /v1/numbers")
	}
	return n, err
}

func (p *chime) deleteNumber(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "remove numbers")
	if err != nil {
		return err
	}
	n, err := p.theNumber(r.Context(), m, r.PathValue("number"))
	if err != nil {
		return err
	}
	_, refusals, err := m.EditNumbers(r.Context(), a, []catalog.Entry{n.Entry}, (*inventory.Editor).RemoveNumbers)
	if err == nil && len(refusals) > 0 {
		why := *refusals[0].Refusal
		why.Text = n.Entry.String() + " " + why.Text
		err = &why
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

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

// orderNumbers adds numbers to the inventory. The order is over at once; it is
// not kept.
func (p *chime) orderNumbers(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "add numbers")
	if err != nil {
		return err
	}
	var body struct {
		E164PhoneNumbers []string `json:"E164PhoneNumbers"`
		ProductType      *string  `json:"ProductType"`
		Name             *string  `json:"Name"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if product := optional(body.ProductType); product != productVoice {
		return invalid("ProductType", "is %q; write %s", printed(product), productVoice)
	}
	if err := notKept("Name", optional(body.Name) != "", "numbers have no names here"); err != nil {
		return err
	}
	entries, err := e164("E164PhoneNumbers", body.E164PhoneNumbers)
	if err != nil {
		return err
	}
	_, refusals, err := m.EditNumbers(r.Context(), a, entries, func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		return e.AddNumbers(found, inventory.Owner{})
	})
	if err != nil {
		return err
	}
	sayJSON(w, http.StatusCreated, struct{ PhoneNumberOrder PhoneNumberOrder }{newOrder(entries, refusals, time.Now())})
	return nil
}

// PhoneNumberOrder is what became of an order of numbers.
type PhoneNumberOrder struct {
	CreatedTimestamp    *time.Time
	OrderType           string
	OrderedPhoneNumbers []OrderedPhoneNumber
	PhoneNumberOrderId  string
	ProductType         string
	Status              string
	UpdatedTimestamp    *time.Time
}

// OrderedPhoneNumber is one number of an order.
type OrderedPhoneNumber struct {
	E164PhoneNumber string
	Status          string
}

func newOrder(entries []catalog.Entry, refusals []inventory.NumberRefusal, now time.Time) PhoneNumberOrder {
	failed := make(map[catalog.Entry]bool)
	for _, one := range refusals {
		failed[one.Entry] = true
	}
	o := PhoneNumberOrder{
		CreatedTimestamp: stamp(now), UpdatedTimestamp: stamp(now), OrderType: "New", PhoneNumberOrderId: uuid.NewString(), ProductType: productVoice,
	}
	for _, e := range entries {
		status := "Acquired"
		if failed[e] {
			status = "Failed"
		}
		o.OrderedPhoneNumbers = append(o.OrderedPhoneNumbers, OrderedPhoneNumber{e.String(), status})
	}
	switch len(failed) {
	case 0:
		o.Status = "Successful"
	case len(entries):
		o.Status = "Failed"
	default:
		o.Status = "Partial"
	}
	return o
}
