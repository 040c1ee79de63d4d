package terms

import "strings"

// stopWords are written without accents. Not among them, on purpose: negations, "before", "after", "first", "last" and
// the like, which questions about time turn on.
var stopWords = map[Language]map[string]struct{}{
	English: set(`a about am an and any are aren't as at be been being but by can can't could couldn't d did didn't do does doesn't
		doing don't for from get gets getting go going gonna got had hadn't has hasn't have haven't having he he'd he'll her here
		hers herself him himself his how how's i i'd i'll i'm i've if in into is isn't it it'd it'll its itself just let like ll m me
		might mine my myself of off oh ok okay on or our ours ourselves out re really s shall she she'd she'll should shouldn't so
		some such t than that the their theirs them themselves then there there's these they they'd they'll they're they've this those
		through to too up us ve very was wasn't we we'd we'll we're we've were weren't what what's when where which while who
		who's whom whose why will with won't would wouldn't yeah yes you you'd you'll you're you've your yours yourself yourselves
		also actually well hey hi hello please thanks thank im dont didnt thats its one`),
	French: set(`a ai aie aient ait alors as au aucun aura aurait aussi autre aux avait avais avaient avec avez avoir avons bien bon bonjour
		c ca car ce ceci cela celle celles celui ces cet cette ceux chez ci comme comment d dans de dedans des donc dont du elle elles en
		encore es est et etaient etais etait etant ete etes etre eu eux fait faire fais font il ils j je l la le les leur leurs lui m ma mais
		me meme memes mes moi mon n ne ni nos notre nous on ont ou oui par parce pas peu peut peux plus pour pourquoi puis qu quand que
		quel quelle quelles quels qui quoi s sa salut sans se sera serait ses si soi soient sois soit sommes son sont suis sur t ta te tes
		toi ton tous tout toute toutes tres tu un une va vais vas vers veut veux voici voila vont vos votre vous vraiment y merci`),
	Spanish: set(`a al algo alguna algunas alguno algunos ante asi aun aunque bien bueno cada como con cosa cosas cual cuales cuando cuanto
		da de del desde donde dos e el ella ellas ellos en entonces entre era eran eramos eras eres es esa esas ese eso esos esta estaba
		estaban estado estamos estan estar estas este esto estos estoy fue fueron fui gracias ha habia han has hasta hay haya he hemos
		hola la las le les lo los mas me mi mia mio mis mucho muy nada ni no nos nosotros nuestra nuestro o os otra otro para pero poco
		por porque pues que quien quienes se sea ser si sido sin sobre solo somos son soy su sus suya suyo tal tambien tan tanto te tengo
		ti tiene tienen toda todas todo todos tu tus tuya tuyo un una unas uno unos usted ustedes va vamos van voy y ya yo`),
	Portuguese: set(`a ao aos aquela aquele aquilo as ate com como da das de dela dele deles depois do dos e ela elas ele em entre era
		eram essa essas esse esses esta estas estava este estes estou eu foi fomos for foram ha isso isto ja la lhe lhes mais mas me mesmo
		meu meus minha minhas muito na nas nem no nos nossa nosso num numa o os ou para pela pelas pelo pelos por qual quando que quem se
		sem ser sera seu seus so sou sua suas tambem te tem tenho ter teu tu tua um uma voce voces vos obrigado obrigada ola sim nao`),
	Creole: set(`a ak al an anko ankò ap apre ape ale avek bay bon bonjou byen chak di diy dwe e epi eske fe gen genyen genyon gade jan jis k
		ka kap kapab ke kek ki kisa kiyes kijan kote kom konsa kounye l la lan le li lot m m' mwen men mesi mem n na nan nap ou oubyen o on
		pa paske pandan poukisa pou pral pran r rive sa s se si sou sot t ta tap te tou tout toujou tre tankou vle vin w wi y ya yo yon youn
		non yap lap map wap kon moun sak sito tan depi`),
}

func set(words string) map[string]struct{} {
	members := map[string]struct{}{}
	for word := range strings.FieldsSeq(words) {
		members[word] = struct{}{}
	}
	return members
}
