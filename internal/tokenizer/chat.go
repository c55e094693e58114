package tokenizer

import (
	"fmt"
)

// Message is one turn of a conversation. Role is "user", "assistant" or
// "system"; a system message is read as a user's.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// chatTemplate is what Chat does, for readers of tokenizer_config.json. Those
// readers put the content into the text before encoding it, so there a user
// who types a mark forges it; Chat does not have that hole.
const chatTemplate = `{{ bos_token }}{% for message in messages %}` +
	`{% if message['role'] == 'assistant' %}{{ '<|assistant|>' + message['content'] + '<|end_of_text|>' }}` +
	`{% elif message['role'] == 'user' or message['role'] == 'system' %}{{ '<|user|>' + message['content'] }}` +
	`{% else %}{{ raise_exception('role must be user, assistant or system') }}{% endif %}{% endfor %}` +
	`{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}`

// messagesMax bounds one conversation.
const messagesMax = 1 << 14

// CanChat says what is missing for Chat, or nil.
func (t *Tokenizer) CanChat() error {
	for _, text := range []string{BeginOfText, EndOfText, User, Assistant} {
		if _, ok := t.ids[text]; !ok {
			return fmt.Errorf("tokenizer has no special token %s, which a conversation needs: train it with tokenizer.Specials()", text)
		}
	}
	return nil
}

// Chat returns a conversation as ids, with the mark of the assistant's turn at
// the end if prompt is set:
//
//	<|begin_of_text|> (<|user|> text | <|assistant|> text <|end_of_text|>)* <|assistant|>
//
// The marks are ids and the texts are plain text, so no text can forge a mark.
func (t *Tokenizer) Chat(messages []Message, prompt bool) ([]uint32, error) {
	if err := t.CanChat(); err != nil {
		return nil, err
	}
	if len(messages) > messagesMax {
		return nil, fmt.Errorf("conversation of %d messages, at most %d", len(messages), messagesMax)
	}
	out := []uint32{t.ids[BeginOfText]}
	for i, m := range messages {
		switch m.Role {
		case "user", "system":
			out = t.AppendEncode(append(out, t.ids[User]), m.Content)
		case "assistant":
			out = append(t.AppendEncode(append(out, t.ids[Assistant]), m.Content), t.ids[EndOfText])
		default:
			return nil, fmt.Errorf("message %d has role %q: want user, assistant or system", i, m.Role)
		}
	}
	if prompt {
		out = append(out, t.ids[Assistant])
	}
	return out, nil
}
