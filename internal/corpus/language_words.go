package corpus

// latinWords are the words that give a language written in Latin letters
// away: function words above all, then words of news and daily life in which
// neighbours differ (Indonesian and Malay share most of their words, so theirs
// are those of spelling and choice: karena and kerana, polisi and polis). They
// were written down from knowledge of the languages, not counted in any text.
//
// The languages after ms are there so that they are not taken for one of the
// first four; Identify calls them Other.
var latinWords = [latinCount]string{
	latinEN: `the of and to in is was that for it on as with by at from are were be been has had have this which
his her their its they he she we you i not but or an a there who would will can could should may might must
about after before when where what why how all any some more most other such no nor only own same so than too
very just because while during between through into out up down over under again then once here these those
am being do does did doing said says say one two new first people year years time also our your my me him them
us if against until both few each off if like get got make made many much now even well back still way take
since another around against without within among says told says those every never always think know it's
don't didn't isn't i'm that's city government world day week last next three four five against`,
	latinES: `el la los las de del que y en un una unos unas por con para se su sus es fue ser son era eran está
están como más pero no al lo le les ha han había sobre entre cuando todo todos toda todas también este esta
estos estas ese esa eso esto hay muy sin hasta desde donde quien quienes porque ya o si nos mi tu me te qué
cómo años año después antes durante contra otro otra otros otras parte puede pueden tiene tienen dos tres
primera primer nuevo nueva dijo así solo sólo cada vez día días hacer según mientras aunque ante e u él ella
ellos hace ahora bien mayor mejor gran gobierno país ciudad personas mundo estaba estado años sido siendo
tras uno ni aún cual cuales algo nada mucho muchos muchas menos casi fueron será sería podría dice`,
	latinID: `yang dan di dari dengan untuk pada ini itu dalam tidak akan adalah oleh sebagai telah ke juga atau
mereka ia dia kami kita saya anda bahwa karena bisa dapat ada sudah saat setelah sebelum ketika namun tetapi
seperti lebih sangat para sebuah seorang beberapa lain lainnya antara tersebut hanya saja masih lagi hingga
sampai sejak menjadi merupakan melakukan mengatakan kata ujar ujarnya agar jika kalau meskipun sementara
terhadap tentang kepada secara serta belum bukan tanpa harus tahun hari bulan orang anak kali satu dua tiga
yaitu pemerintah polisi perusahaan kantor uang mobil tim pertandingan universitas amerika serikat rumah sakit
laki-laki pria wanita anak-anak istri resmi coba beda mau ingin nomor kota provinsi presiden partai pemilu
karyawan pekan minggu senin kamis jumat maret juni juli agustus desember inggris rusia cina tiongkok eropa
semua banyak baru besar kecil nya punya memiliki membuat bagaimana mengapa kapan siapa apa apakah tak
per persen sekitar selama selain setiap segera terjadi terkait pihak masyarakat bahkan sehingga maupun
mampu berbagai berbeda penyelidikan situs juta miliar dolar keamanan aktivitas kualitas komunitas identitas
kapal pesawat sepak bola musim pelatih klub sesama beliau perempuan dirinya sang si pun nanti hal cara seluruh
organisasi produksi informasi kesehatan kebijakan departemen menteri jenderal kepala sekretaris senat
pengadilan hakim korban jaksa tersangka penembakan daftar musik lagu acara seri aktor aktris foto gambar
ponsel internet teknologi peneliti ilmuwan studi penelitian jam menit pukul letak karir rekor babak gol`,
	latinMS: `yang dan di dari dengan untuk pada ini itu dalam tidak akan adalah oleh sebagai telah ke juga atau
mereka ia dia kami kita saya anda bahawa kerana boleh dapat ada sudah semasa selepas sebelum ketika namun tetapi
seperti lebih sangat amat para sebuah seorang beberapa lain antara tersebut hanya sahaja masih lagi hingga
sehingga sejak menjadi merupakan melakukan mengatakan berkata kata katanya supaya agar jika sekiranya walaupun
manakala terhadap tentang kepada secara serta belum bukan tanpa mesti tahun hari bulan orang kali satu dua tiga
iaitu ialah kerajaan polis syarikat pejabat wang kereta pasukan perlawanan universiti amerika syarikat hospital
lelaki wanita kanak-kanak isteri rasmi cuba beza mahu ingin nombor bandar wilayah presiden parti pilihan raya
pekerja minggu isnin khamis jumaat ahad mac jun julai ogos disember inggeris rusia china eropah
semua ramai banyak baharu baru besar kecil mempunyai memiliki membuat bagaimana mengapa bila siapa apa adakah tak
peratus sekitar selain setiap segera berlaku berkaitan pihak masyarakat malah mahupun berkenaan mengenai
mampu pelbagai berbeza siasatan laman juta bilion dolar keselamatan aktiviti kualiti komuniti identiti
kapal pesawat bola sepak musim jurulatih kelab sesama beliau perempuan dirinya pun nanti hal cara seluruh
organisasi pengeluaran maklumat kesihatan dasar jabatan menteri jeneral ketua setiausaha senat
mahkamah hakim mangsa pendakwa tertuduh tembakan senarai muzik lagu rancangan siri pelakon gambar
telefon internet teknologi penyelidik saintis kajian penyelidikan jam minit pukul bagi daripada apabila antaranya
kedua-dua tengah hari encik puan tuan cik turut dilihat perkara peluang cabaran persatuan pengarah
terdapat kawasan rakyat negara akhbar jualan pelanggan kerjaya rekod pusingan gol sebaliknya justeru oleh itu
walau bagaimanapun sebanyak seramai berusia bahagian pentadbiran dijangka pengurus perdana tempatan
hendaklah sebarang begitu tetap sama mana`,
	latinPT: `o a os as de do da dos das que e em um uma não por com para se seu sua seus suas é foi ser são era
está estão como mais mas ao aos à às no na nos nas pelo pela pelos pelas ou já também este esta isso isto há
muito sem até entre quando depois antes durante contra outro outra anos ano você ele ela eles elas nós meu
minha tem têm foram pode podem dois duas três primeiro nova novo disse assim só cada vez dia dias fazer
segundo governo país cidade pessoas mundo ainda mesmo sobre onde porque`,
	latinFR: `le la les de des du et en un une que qui est sont dans pour par sur avec pas ne au aux ce cette ces
son sa ses leur leurs il elle ils elles nous vous je on plus ou mais comme été être avoir fait ont avait était
aussi après avant entre sans sous très tout tous toute toutes deux trois même où quand donc si ainsi dont
contre pendant depuis ans année années selon encore peut notre votre mon c'est d'un d'une qu'il l'on n'est`,
	latinIT: `il lo la i gli le di del della dei delle degli e che in un una uno per con non è sono era ha hanno da
dal dalla dai al alla ai alle nel nella nei nelle sul sulla si come più ma anche o se questo questa questi
queste quello quella suo sua suoi loro noi voi lui lei stato stata essere dopo prima durante contro tra fra
anni anno due tre molto senza fino quando dove perché già ancora così`,
	latinDE: `der die das und in den von zu mit sich des auf für ist im dem nicht ein eine einen einem einer eines
als auch es an werden aus er hat dass sie nach wird bei um am sind noch wie über so zum war haben nur oder
aber vor zur bis mehr durch man sein wurde sei wir ich ihr ihre seine kann gegen vom können schon wenn habe
unter wurden zwei drei jahr jahre jahren dann ihm ihn keine sehr mich mir was`,
	latinNL: `de het een en van in is dat op te zijn met voor niet aan er om ook als bij maar nog naar uit door
over dan ze hij zij wij je ik wat worden wordt werd werden heeft hebben had geen meer tot deze dit die kan
kunnen zou zal al of tegen onder na jaar jaren twee drie haar hun zo omdat waar toen onze`,
	latinVI: `và của là có cho không được trong với các những một người này đã đến khi để từ ra vào cũng như ông
bà tôi năm ngày nhiều nhất trên sẽ đang tại về theo sau trước làm phải hay hơn bị`,
	latinTR: `ve bir bu da de için ile olarak olan çok daha gibi kadar sonra en ama ancak ne ya o ise değil var
yok her ben sen biz onlar oldu olduğu etti dedi yıl gün göre tarafından üzere`,
	latinPL: `i w na z do się nie że to jest o jak po od za przez dla przy są był była było być ale czy już tylko
tego który która które ich jego jej oraz ma roku także może przed pod bardzo`,
	latinTL: `ang ng sa mga na at ay ni si kay para hindi ito siya sila ako kami tayo kayo nang kung dahil may
mayroon wala din rin lang po ito iyon niya nila namin isang ating kanyang noong pero`,
	latinNordic: `och att det som en på är av för med den till inte har de om ett var han hon jag vi kan så men
från vid när eller och at det som en på er af for med den til ikke har de om et var han hun jeg vi kan så
men fra ved når eller også efter etter blev ble være vara skal ska`,
	latinRO: `și de la în a cu pe nu că din este sunt pentru mai o un care ce au fost fi s-a ca prin după dar sau
această acest între până ale lui lor unei unui`,
	latinHU: `a az és hogy nem egy is van volt de meg ez azt csak már mint még ki el ha vagy lesz után között
több minden`,
}
