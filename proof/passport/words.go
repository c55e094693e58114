package passport

// checkOrder is the order in which checks are shown.
var checkOrder = []string{CheckSignature, CheckFiles, CheckForm, CheckManifest, CheckData, CheckChain, CheckTraining, CheckLabels,
	CheckIndependence, CheckEvaluation, CheckViews, CheckApprovals, CheckLedger, CheckRelease, CheckRevocation}

// sentences say how each check came out: passed, failed, skipped.
var sentences = map[string][3]Words{
	CheckSignature: {
		{"서명이 맞습니다. 이 키의 주인이 서명했고 그 뒤로 바뀌지 않았습니다.", "The signature holds: the owner of this key made it, and it was not changed since."},
		{"서명이 맞지 않습니다.", "The signature does not hold."},
		{"서명을 확인하지 못했습니다.", "The signature could not be checked."},
	},
	CheckFiles: {
		{"모든 파일이 서명된 그대로입니다. 빠지거나 더해진 파일이 없습니다.", "Every file is as it was signed; none is missing, none was added."},
		{"서명된 것과 다른 파일이 있습니다.", "Some files are not as they were signed."},
		{"서명이 맞지 않아 파일을 확인하지 않았습니다.", "The files were not checked, because the signature does not hold."},
	},
	CheckForm: {
		{"여권 문서의 형식이 맞고 빠진 항목이 없습니다.", "The passport is well formed and nothing is left out."},
		{"여권 문서가 없거나 바뀌었거나 빠진 항목이 있습니다.", "The passport is missing, changed or incomplete."},
		{"여권 문서를 확인하지 않았습니다.", "The passport was not read."},
	},
	CheckManifest: {
		{"여권에 적힌 파일과 서명된 파일이 하나하나 같습니다.", "The files the passport lists are exactly the files that were signed."},
		{"여권에 적힌 파일과 서명된 파일이 다릅니다.", "The files the passport lists are not the files that were signed."},
		{"파일 목록을 맞춰 보지 않았습니다.", "The list of files was not compared."},
	},
	CheckData: {
		{"모든 학습 데이터의 권리와 동의가 적혀 있고, 들어온 문서와 걸러낸 문서의 수가 말뭉치와 맞아떨어집니다.", "Every source has its rights and consent, and the documents that came in, less those removed, are those of the corpus."},
		{"학습 데이터의 기록에 빠진 것이 있거나 문서의 수가 맞지 않습니다.", "The record of the data is incomplete, or its counts do not add up."},
		{"학습 데이터의 기록을 확인하지 않았습니다.", "The record of the data was not checked."},
	},
	CheckChain: {
		{"문서 → 말뭉치 → 토크나이저 → 학습 → 평가의 사슬이 끊김 없이 이어집니다.", "The chain documents → corpus → tokenizer → training → evaluation is unbroken."},
		{"만든 과정의 사슬이 끊겨 있습니다.", "The chain of the model's making is broken."},
		{"만든 과정의 사슬을 확인하지 않았습니다.", "The chain of the model's making was not checked."},
	},
	CheckTraining: {
		{"학습 기록(장치, 장소, 연산량, 전력, 중단과 재개)이 갖추어져 있고 서로 맞습니다.", "The record of the training (devices, sites, operations, energy, interruptions) is complete and consistent."},
		{"학습 기록에 빠지거나 맞지 않는 것이 있습니다.", "The record of the training is incomplete or contradicts itself."},
		{"학습 기록을 확인하지 않았습니다.", "The record of the training was not checked."},
	},
	CheckLabels: {
		{"모델의 등급과 보관 국가가 모든 데이터의 조건을 지킵니다.", "The model's class and residency honour those of every source."},
		{"모델의 등급이나 보관 국가가 데이터의 조건을 어깁니다.", "The model's class or residency breaks that of a source."},
		{"등급과 보관 국가를 확인하지 않았습니다.", "Class and residency were not checked."},
	},
	CheckIndependence: {
		{"자립도 진술이 만든 과정의 기록에서 나온 그대로입니다.", "The statement of independence is what the lineage gives."},
		{"자립도 진술이 만든 과정의 기록과 다릅니다.", "The statement of independence is not what the lineage gives."},
		{"자립도 진술을 확인하지 않았습니다.", "The statement of independence was not checked."},
	},
	CheckEvaluation: {
		{"평가 결과가 이 모델의 것이고, 다시 계산해도 관문을 통과합니다.", "The results are this model's, and decided again from them the gate is passed."},
		{"평가 결과가 이 모델의 것이 아니거나 관문을 통과하지 못합니다.", "The results are not this model's, or do not pass the gate."},
		{"평가 결과를 확인하지 않았습니다.", "The results were not checked."},
	},
	CheckViews: {
		{"파생 문서(자재 명세서, 학습 데이터 요약, 고지문)가 이 여권에서 다시 만든 것과 글자 하나까지 같습니다.", "The views (bills of materials, summary, notice) are, byte for byte, what the passport gives when they are made again."},
		{"파생 문서가 여권과 다릅니다.", "The views are not what the passport gives."},
		{"파생 문서를 여권에서 다시 만든 것과 맞춰 보지 못했습니다. 다른 판의 프로그램이 만들었을 수 있습니다.", "The views could not be compared with the passport; another version of the program may have made them."},
	},
	CheckApprovals: {
		{"서로 다른 두 사람 이상이 이 모델을 승인했습니다.", "At least two different people approved this very model."},
		{"필요한 승인이 갖추어지지 않았습니다.", "The approvals are not sufficient."},
		{"승인을 확인하지 않았습니다.", "The approvals were not checked."},
	},
	CheckLedger: {
		{"모든 단계, 관문, 승인이 원장에 기록되어 있음이 증명됩니다.", "Every stage, the gate and the approvals are proved to stand in the ledger."},
		{"원장의 증명이 없거나 맞지 않습니다.", "The ledger's proofs are missing or do not hold."},
		{"원장의 증명을 확인하지 않았습니다.", "The ledger's proofs were not checked."},
	},
	CheckRelease: {
		{"이 여권과 이 서명의 출시가 원장에 기록되어 있음이 증명됩니다.", "The release of this passport under this signature is proved to stand in the ledger."},
		{"출시의 원장 증명이 없거나 맞지 않습니다.", "The ledger's proof of the release is missing or does not hold."},
		{"출시의 원장 증명이 아직 없습니다.", "There is no ledger proof of the release yet."},
	},
	CheckRevocation: {
		{"철회되지 않았습니다.", "The model was not withdrawn."},
		{"철회된 모델입니다.", "The model was withdrawn."},
		{"철회 목록이 없어 확인하지 않았습니다.", "Withdrawal was not checked, for want of the list."},
	},
}

func sentence(check string, state State) Words {
	return sentences[check][map[State]int{Passed: 0, Failed: 1, Skipped: 2}[state]]
}
