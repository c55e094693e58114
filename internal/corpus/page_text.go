package corpus

// both is a text in the two languages of the report page.
type both struct{ KO, EN string }

// reasonTexts name each reason and say why such text is left out.
var reasonTexts = map[string]struct{ Name, Why both }{
	ReasonBadUTF8:         {both{"깨진 글자 부호", "Not UTF-8"}, both{"파일의 바이트를 글자로 읽을 수 없습니다.", "The bytes are not text in UTF-8."}},
	ReasonBadJSON:         {both{"깨진 JSON", "Broken JSON"}, both{"그 줄을 JSON으로 읽을 수 없습니다.", "The line is not a JSON object."}},
	ReasonTooLong:         {both{"너무 긴 줄", "Line too long"}, both{"한 줄이 정해진 크기를 넘어 읽지 않았습니다.", "A line over the size limit is not read."}},
	ReasonMissingText:     {both{"본문 없음", "No text field"}, both{"본문이 들어 있어야 할 항목이 없습니다.", "The field that should hold the text is absent."}},
	ReasonEmptyText:       {both{"빈 글", "Empty"}, both{"보이는 글자가 하나도 없습니다.", "There is no visible character."}},
	ReasonLanguage:        {both{"다른 언어", "Other language"}, both{"학습에 쓰기로 한 언어가 아닙니다.", "It is not in a language that is kept."}},
	ReasonExactDuplicate:  {both{"똑같은 글", "Exact copy"}, both{"앞에 나온 글과 같습니다. 되풀이된 글은 외우게 만듭니다.", "It stands earlier already. Repeated text is learned by heart."}},
	ReasonNearDuplicate:   {both{"거의 같은 글", "Near copy"}, both{"앞에 나온 글과 거의 같습니다(다섯 낱말씩 견주어 72% 이상).", "Nearly the same as an earlier text (72 % or more of runs of five words)."}},
	ReasonBrokenText:      {both{"깨진 글", "Broken text"}, both{"알아볼 수 없는 글자(U+FFFD)가 많습니다.", "Too many characters are lost (U+FFFD)."}},
	ReasonTooFewWords:     {both{"너무 짧은 글", "Too few words"}, both{"문맥을 배우기에 어절이 모자랍니다.", "Too short to learn context from."}},
	ReasonTooManyWords:    {both{"너무 긴 글", "Too many words"}, both{"한 편의 글로 보기에 지나치게 깁니다.", "Too long to be one text."}},
	ReasonWordLength:      {both{"낱말 길이", "Word length"}, both{"낱말이 지나치게 짧거나 깁니다. 띄어쓰기가 없거나 부호화된 자료입니다.", "Words are too short or too long: no spacing, or encoded data."}},
	ReasonSymbols:         {both{"기호 과다", "Symbols"}, both{"#과 말줄임표가 지나치게 많습니다.", "Too many # and ellipses."}},
	ReasonBullets:         {both{"글머리표", "Bullet lines"}, both{"거의 모든 줄이 글머리표로 시작합니다.", "Nearly every line is a bullet point."}},
	ReasonEllipsis:        {both{"잘린 줄", "Cut lines"}, both{"말줄임표로 끝나는 줄이 많습니다. 미리보기 목록입니다.", "Many lines end in an ellipsis: a list of previews."}},
	ReasonFewLetters:      {both{"글자 부족", "Few letters"}, both{"글자가 없는 낱말(숫자, 기호)이 많습니다.", "Many words have no letter: tables, codes."}},
	ReasonFewStopWords:    {both{"조사 부족", "Few function words"}, both{"조사와 어미가 거의 없습니다. 문장이 아니라 낱말 목록입니다.", "Hardly any function word: a list, not sentences."}},
	ReasonLinePunctuation: {both{"문장부호 부족", "No sentence marks"}, both{"문장부호로 끝나는 줄이 거의 없습니다. 차림표나 목록입니다.", "Hardly any line ends as a sentence does: menus, lists."}},
	ReasonManyLines:       {both{"토막 난 줄", "Short lines"}, both{"낱말 수에 견주어 줄이 너무 많습니다.", "Too many line ends for its words."}},
	ReasonDuplicateLines:  {both{"되풀이된 줄", "Repeated lines"}, both{"같은 줄이 되풀이됩니다.", "The same lines come again and again."}},
	ReasonDuplicateParas:  {both{"되풀이된 문단", "Repeated paragraphs"}, both{"같은 문단이 되풀이됩니다.", "The same paragraphs come again and again."}},
	ReasonRepeatedGrams:   {both{"되풀이된 구절", "Repeated phrases"}, both{"다섯 낱말이 넘는 구절이 되풀이됩니다.", "Phrases of five words and more repeat."}},
	ReasonTopGrams:        {both{"한 구절 도배", "One phrase all over"}, both{"짧은 구절 하나가 글의 큰 몫을 차지합니다.", "One short phrase fills much of the text."}},
	ReasonPersonalDense:   {both{"개인정보 목록", "List of personal data"}, both{"글이라기보다 사람들의 연락처 목록입니다.", "A list of people rather than a text."}},
	ReasonEvaluation:      {both{"평가 문항 포함", "Holds test questions"}, both{"시험 문항이 들어 있어, 배우면 평가가 거짓이 됩니다.", "It quotes the evaluation; to learn it would make the score a lie."}},
	ReasonHeldOutOverlap:  {both{"따로 둔 글과 겹침", "Overlaps held-out text"}, both{"재기 위해 따로 둔 글과 여덟 낱말 이상이 이어서 같습니다.", "Shares eight words in a row with text kept apart to measure with."}},
}

var funnelTexts = map[string]both{
	"read": {"읽은 글", "read"}, "readable": {"글로 읽힘", "readable"}, "language": {"쓰는 언어", "right language"}, "unique": {"겹치지 않음", "unique"},
	"quality": {"품질 통과", "good enough"}, "evaluation": {"평가와 안 겹침", "no test items"}, "heldout": {"남은 글", "kept"},
}

var languageTexts = map[string]both{
	"ko": {"한국어", "Korean"}, "en": {"영어", "English"}, "es": {"스페인어", "Spanish"}, "id": {"인도네시아어", "Indonesian"},
	"ms": {"말레이어", "Malay"}, "ja": {"일본어", "Japanese"}, "zh": {"중국어", "Chinese"}, Other: {"그 밖", "other"},
}

var personalTexts = map[PersonalKind]both{
	Registration: {"주민·외국인등록번호", "Registration number"}, Mobile: {"휴대전화", "Mobile"}, Landline: {"일반전화", "Landline"},
	Business: {"사업자등록번호", "Business number"}, Passport: {"여권번호", "Passport"}, Licence: {"운전면허번호", "Driving licence"},
	Account: {"계좌번호", "Bank account"}, Card: {"카드번호", "Payment card"}, Email: {"전자우편", "E-mail"}, IPAddress: {"IP 주소", "IP address"},
}

// measureTexts name the measures; the unit is part of the name.
var measureTexts = [measureCount]both{
	measureWords:              {"글의 길이 (어절·낱말)", "length (words)"},
	measureWordLength:         {"낱말의 평균 길이 (글자)", "mean word length (characters)"},
	measureSymbols:            {"기호 (낱말 1000개당)", "symbols (per 1000 words)"},
	measureBullets:            {"글머리표 줄", "bullet lines"},
	measureEllipsis:           {"말줄임표로 끝나는 줄", "lines ending in an ellipsis"},
	measureLetterWords:        {"글자가 있는 낱말", "words with a letter"},
	measureStopWords:          {"서로 다른 조사·기능어 (8까지)", "different function words (up to 8)"},
	measurePunctuated:         {"문장부호로 끝나는 줄", "lines ending as sentences"},
	measureLineBreaks:         {"줄바꿈 (낱말 1000개당)", "line ends (per 1000 words)"},
	measureDuplicateLines:     {"되풀이된 줄", "repeated lines"},
	measureDuplicateLineChars: {"되풀이된 줄의 글자", "characters in repeated lines"},
	measureDuplicateParas:     {"되풀이된 문단", "repeated paragraphs"},
	measureDuplicateParaChars: {"되풀이된 문단의 글자", "characters in repeated paragraphs"},
	measureTop2:               {"으뜸 두 낱말 구절의 몫", "share of the top 2-gram"},
	measureTop3:               {"으뜸 세 낱말 구절의 몫", "share of the top 3-gram"},
	measureTop4:               {"으뜸 네 낱말 구절의 몫", "share of the top 4-gram"},
	measureRepeated5:          {"되풀이된 다섯 낱말 구절", "repeated 5-grams"},
	measureRepeated6:          {"되풀이된 여섯 낱말 구절", "repeated 6-grams"},
	measureRepeated7:          {"되풀이된 일곱 낱말 구절", "repeated 7-grams"},
	measureRepeated8:          {"되풀이된 여덟 낱말 구절", "repeated 8-grams"},
	measureRepeated9:          {"되풀이된 아홉 낱말 구절", "repeated 9-grams"},
	measureRepeated10:         {"되풀이된 열 낱말 구절", "repeated 10-grams"},
	measureBroken:             {"깨진 글자", "lost characters"},
}
