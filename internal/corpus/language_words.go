package corpus

// malayShared are words of both Indonesian and Malay.
const malayShared = `yang dan di dari dengan untuk pada ini itu dalam tidak akan adalah oleh sebagai telah ke juga atau mereka ia dia kami
kita saya anda dapat ada sudah sebelum ketika namun tetapi seperti lebih sangat para sebuah seorang beberapa lain
antara tersebut hanya masih lagi hingga sehingga sejak menjadi merupakan melakukan mengatakan kata jika walaupun
terhadap tentang kepada secara serta belum bukan tanpa harus tahun hari bulan orang kali satu dua tiga presiden minggu
semua banyak baru besar kecil membuat bagaimana mengapa siapa apa tak sekitar selain setiap segera pihak masyarakat
mampu juta kapal pesawat musim sesama beliau perempuan pun nanti hal seluruh organisasi menteri ketua hakim lagu
gambar internet teknologi jam pukul gol berusia mengenai lalu perlu sedang keputusan masalah isu rumah sakit sekolah
guru pelajar pemimpin negara dunia amerika rusia china turki kanada belanda bola pemain liga juara menang kalah
pertama kedua ketiga terakhir utama bersama kerja kini sekarang pernah jangan mungkin gagal hasil usaha kemudian
akhirnya kembali terus dilaporkan melaporkan menyatakan menunjukkan melihat memberikan wanita pasukan dewan senjata
perang utara selatan timur barat malam pagi mata kepala tangan air api tanah jalan wilayah kenapa begitu sini sana
situ nya si sang ujian hidup mati cinta makan minum tidur suami ibu bapa anak adanya akhir alasan apalagi asing badan
bagi bank bekas bekerja benar berkata cara dirinya gaji ikut inilah itulah janganlah jaringan jumlah katanya
kebanyakan kekuasaan kekuatan keluarga lembaga luka mahkamah mana masa masing-masing melawan memberi mendapat
mendapatkan menurut muda peluang penduduk pengguna permainan pertahanan pertandingan pilihan politik sama sebab
sejumlah sekali selalu separuh siang suara suatu tepi tetap tidaklah tua tuduhan tugas walau selama sementara ruang
pasar sampai terjadi sering anggota orang-orang seri memiliki mengikuti tengah seharusnya media sosial tindakan
mempunyai perdana pekerja rakyat ahli raya cedera atas depan bahasa sabtu hujan nama salah rasa baik awal pantai
keluar masuk termasuk menggunakan mengambil membantu datang penting tempat luar menerima empat lima enam tujuh delapan
sembilan sepuluh bangunan tapi waktu pemilihan pertemuan lokasi negeri serangan sidang swasta tinggi rendah panjang
hubungan arah pusat laut kulit batu bintang sejarah belajar mencari menarik membuka menutup menolak berada muncul
biasa semakin hampir pasti jauh dekat lama hebat diri sendiri sesuatu keadaan bumi bencana banjir gempa perubahan
kemenangan kejadian remaja hari-hari merasa memimpin mengubah menghadapi bantuan tinggal nasional hubungi membunuh
penjara selasa rabu bahaya
`

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
since another tonight today yesterday tomorrow president police school students former including according however quickly found
show shows set goal game team league season win wins won lost lose play played players men women man woman child children home house
death dead killed family life work works working job business money company public report reports state states national country
old young big small long high little great good best better bad right left own early late next next least less until ago yet
come comes came go goes going went want wants need needs help know known think thought see seen look looks looking find give gives
given take taken call called use used using keep start began begin begins end ended part place point number group case fact hand
neither either quite pretty rather ever something nothing anything everyone someone nobody things thing really love water stuff yes
please thanks thank hello movie film story book news world's west east north south why's vs per cent percent million billion street
around against without within among says told says those every never always think know it's
don't didn't isn't i'm that's city government world day week last next three four five against`,
	latinES: `el la los las de del que y en un una unos unas por con para se su sus es fue ser son era eran está
están como más pero no al lo le les ha han había sobre entre cuando todo todos toda todas también este esta
estos estas ese esa eso esto hay muy sin hasta desde donde quien quienes porque ya o si nos mi tu me te qué
cómo años año después antes durante contra otro otra otros otras parte puede pueden tiene tienen dos tres
primera primer nuevo nueva dijo así solo sólo cada vez día días hacer según mientras aunque ante e u él ella
ellos hace ahora bien mayor mejor gran gobierno país ciudad personas mundo estaba estado años sido siendo
espero quiero estoy soy eres somos tenemos tengo vamos voy va van hizo hace hacen pasado pasada próximo próxima
semana semanas mes meses lunes martes miércoles jueves viernes sábado domingo enero febrero marzo abril mayo junio julio agosto
septiembre octubre noviembre diciembre mañana noche tarde hoy ayer siempre nunca tampoco además bastante nuestra nuestro nuestros
nuestras ambos ambas distintos hombre hombres mujer mujeres niños niño niña casa agua ley presidente policía escuela partido
partidos equipo jugador jugadores juego liga temporada empresa empresas estados unidos millones mil ciento primera segunda tercero
último última últimos algunas algunos varios varias cualquier fuera dentro cerca lejos arriba abajo debe deben sabe quiere decir
dicho hecho visto ver dar da dio dieron hombre cosa cosas vida muerte trabajo forma manera lugar momento tiempo familia nombre
tras uno ni aún cual cuales algo nada mucho muchos muchas menos casi fueron será sería podría dice`,
	latinID: malayShared + `poin gawang petugas tropis makedonia pernyataan keamanan sanksi menambahkan langsung lokal merek mengirim pelayanan
layanan dikenal ditemukan menemukan komite posisi cepat tampaknya gunung bahwa karena bisa saat setelah lainnya saja
ujar ujarnya meskipun agar kalau yaitu pemerintah pemerintahan polisi kepolisian perusahaan kantor uang mobil tim
universitas serikat pria istri resmi coba beda ingin nomor provinsi partai pemilu karyawan pekan senin kamis jumat
maret juni juli agustus desember inggris cina tiongkok eropa punya apakah persen terkait bahkan berbagai berbeda situs
miliar dolar aktivitas kualitas komunitas identitas sepak pelatih klub produksi informasi kesehatan kebijakan
departemen jenderal sekretaris senat pengadilan korban jaksa tersangka penembakan daftar musik acara aktor aktris
ponsel peneliti ilmuwan studi penelitian menit letak karier karir rekor babak obat dokter spanduk grup kelompok
kunjungan mantan kandidat pemilih pendukung dukungan mendukung umum publik pengacara kasus pelecehan siswa mahasiswa
bandara penerbangan ledakan tentara militer rudal nuklir biaya pajak investor investasi pabrik toko telepon daring
wawancara konferensi koran film bioskop penggemar stadion kiper kejuaraan turnamen putaran sore besok kemarin ujung
dimulai mulai memulai setidaknya sedikitnya dampak efek rencana berencana proyek warga putri putra teman rekan
tetangga kamar gedung jembatan sepeda pengemudi sopir kecelakaan terluka tewas kanker pasien perawat perawatan badai
topan derajat energi listrik kriminal kejahatan menyelidiki penyelidikan investigasi pejabat parlemen majelis olahraga
khawatir pikir berpikir kabar disebut menjelaskan membahas pembahasan diskusi rapat pulang bisnis jerman prancis
spanyol italia jepang britania skotlandia irlandia meksiko brasil suriah irak uni dekade ratusan ribuan jutaan arti
berarti khusus sulit bagian memperoleh berbicara bicara pertanyaan kesempatan upaya percobaan berhasil keberhasilan
sukses lantas meluncurkan peluncuran bergabung oposisi kepemimpinan periode soal maka gereja hukum presidennya
sebagian internasional kecepatan anak-anak laki-laki gadis cewek kok sih banget dong nggak enggak kayak gimana padahal
tanggal kekhawatiran`,
	latinMS: malayShared + `tropika macedonia kenyataan sekatan jenama menghantar perhimpunan perkhidmatan dikenali tiada menemui ditemui
jawatankuasa lapan nampaknya persidangan bahagian wang lelaki antarabangsa hospital daripada loceng pelarian peniaga
kelmarin membabitkan biarpun sungguhpun mesej pakar kakitangan bahawa kerana boleh semasa selepas amat sahaja supaya
sekiranya manakala mesti iaitu ialah kerajaan polis syarikat kereta universiti kanak-kanak isteri rasmi cuba beza
berbeza mahu nombor bandar parti pilihanraya isnin khamis jumaat ahad mac jun julai ogos disember inggeris eropah
ramai baharu adakah peratus berlaku malah mahupun berkenaan pelbagai siasatan menyiasat laman bilion aktiviti kualiti
komuniti identiti sepak jurulatih kelab pengeluaran maklumat kesihatan jeneral setiausaha mangsa pendakwa tertuduh
tembakan senarai muzik rancangan siri pelakon telefon penyelidik saintis kajian minit apabila antaranya kedua-dua
encik puan cik turut perkara persatuan terdapat kawasan akhbar jualan pelanggan kerjaya pusingan sebaliknya justeru
sebanyak seramai pentadbiran dijangka pengurus tempatan hendaklah sebarang kempen fesyen agensi bajet doktor ubat
sepanduk rundingan kumpulan imej lawatan pengerusi teruk gerai pengundi undi undian mengundi penyokong sokongan
menyokong awam peguam kes dakwaan letupan tentera askar nuklear pasaran kos cukai pelabur pelaburan majikan kilang
kedai talian temu wartawan filem pawagam watak peminat stadium penjaga perlawanan kejohanan petang esok semalam lepas
hujung bermula bermulanya memulakan mula sekurang-kurangnya malahan kesan punca projek warganegara rakan jiran bilik
jambatan lebuh bas motosikal basikal pemandu memandu kemalangan kecederaan maut terbunuh kanser pesakit jururawat
rawatan ribut taufan darjah kuasa tenaga elektrik jenayah suspek pegawai parlimen majlis sukan gembira bimbang risau
fikir berfikir memikirkan khabar dipanggil digelar memberitahu menerangkan membincangkan perbincangan mesyuarat balik
semula sentiasa kerap kena patut hendak nak awak baginda macam perancis sepanyol itali jepun britain syria iraq
kesatuan dekad erti bererti khas sukar pantas perlahan betul sebenar sebahagian hadapan bercakap cakap berbual soalan
percubaan berjaya kejayaan seterusnya pelancaran melancarkan dilancarkan menerusi menyertai penyertaan pembangkang
kepimpinan tempoh bagaimanapun bermakna menjejaskan berhubung berikutan mengesahkan berkuasa ekoran mendakwa didakwa
bersetuju persetujuan keupayaan kementerian beribu-ribu beratus nampak kelihatan selesa gereja skrin saiz sains
sepatutnya dijual dibeli keluaran terkini faedah pinjaman pangsa dolar beritahu dedah mendedahkan pendedahan ulasan
mengikut bakal jawatan pertubuhan perniagaan terbang merempuh`,
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
