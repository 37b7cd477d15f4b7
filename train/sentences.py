"""Sentences for synthetic voices to read, by a small grammar for each language; nobody's text.

`<name>` stands for one of the rule's alternatives, which `|` separates. Rhythm and sounds vary; the sentences need not make sense.
"""

import re

import numpy as np

GRAMMARS = {
    "en": {
        "sentence": """<person> <saw> <thing> <place>.|<when>, <person> <saw> <thing>.|Did <person> really <see> <thing> <place>?
            |Why would anyone <see> <thing> <when2>?|Please <see> <thing> before <person> <arrives>.|<thing> <was> <quality>, and <thing> <was> <quality> too.
            |Nobody <place> <saw> <thing>, but <person> <did>.|If <person> <arrives> <when2>, we <will> <see> <thing>.
            |<number> <things> were lying <place>.|It costs <number> dollars and <number> cents, <thing> included.
            |The <ordinal> of <month> <was> <quality> <place>.|<exclaim>! <thing> <was> <quality>!|"<exclaim>," said <person>, "<thing> <was> <quality>."
            |Take the <ordinal> road on the <side>, then <see> <thing>.|Have you ever heard <thing> <place> <when2>?
            |<person>, who <saw> <thing>, <arrived> <when2>.|I would rather <see> <thing> than <see> <thing>.
            |There <was> <thing> <place>, <quality> and <quality>, until <person> <arrived>.|Call <person> at <digit> <digit> <digit>, <digit> <digit> <digit> <digit>.
            |What <person> <saw> <place> <was> only <thing>.|<when>, <number> <things> and <number> <things> <arrived> <place>.""",
        "person": """Judith|Oliver|my cousin Ruth|the old watchmaker|Doctor Vaughan|her younger brother|George|a stranger|Agnes|the zoo keeper
            |Miss Chadwick|both of the twins|young Hugh|the fisherman's daughter|your uncle Joe|Beth|the choir|our neighbour|Theodore|the sheriff
            |Yvonne|someone in a yellow jacket|the pilot|Xavier|a quiet child|Mister Pugh|the thirsty judge|Leah|each of the drivers|Hannah""",
        "saw": """saw|painted|lost|measured|borrowed|washed|carried|ignored|forgot|shook|bought|polished|chased|heard|folded|pushed|watched|described
            |examined|found|joined|refused|touched|wrapped|noticed|returned|thanked|mixed|dropped|stitched""",
        "see": """see|paint|lose|measure|borrow|wash|carry|ignore|forget|shake|buy|polish|chase|hear|fold|push|watch|describe|examine|find|join
            |refuse|touch|wrap|notice|return|choose|mix|drop|stitch""",
        "thing": """the rusty key|a thin layer of ice|five loaves of bread|the garage door|an orange umbrella|that awful noise|the church clock
            |a jar of honey|the broken violin|some cheese and ham|the northern lighthouse|an ancient map|a pair of leather gloves|the judge's speech
            |a huge yellow balloon|the television|fresh coffee|the village choir|a bowl of cherries|this unusual beige fabric|the mouth of the river
            |an empty suitcase|the whole truth|a zebra|the engine's rhythm|a wooden toy ship|those dusty bookshelves|the weather report
            |a thick grey fog|the question of tax|a vision of the future|the kitchen sponge|a dozen boiled eggs|the azure sea|youthful laughter""",
        "things": "boxes of matches|old photographs|bicycles|oysters|white geese|cough drops|judges|young oaks|teeth|yachts|tin whistles|measuring cups|chairs",
        "place": """by the harbour|under the bridge|on the third floor|in a small workshop|beyond the hill|at the railway station|near the oil fields
            |between two houses|outside the museum|along the narrow path|behind the theatre|in the middle of the forest|at her mother's house
            |across the bay|inside the drawer|round the corner|throughout the valley|on the beach at Yarmouth""",
        "when": """Yesterday|Last Thursday|Before breakfast|In the early hours|Once upon a time|Half an hour later|On a foggy morning|Every few years
            |At twenty past eight|During the long voyage|Shortly after the war|This afternoon|As usual|To everyone's joy""",
        "when2": "tomorrow|at noon|on Wednesday|in July|before the storm|without a word|once a month|after all|sooner or later|at half past five|tonight",
        "arrives": "arrives|leaves|wakes up|changes the subject|goes to bed|calls|loses patience|laughs|joins us|chooses",
        "arrived": "arrived|left|went home|began to sing|fell asleep|moved away|stayed|laughed|turned round|vanished|shrugged",
        "will": "will|shall|could|might|ought to|should",
        "did": "did|would|could not|never will|already had",
        "was": "was|seemed|became|looked|is|remained|used to be",
        "quality": """rather cold|brighter than before|far too expensive|smooth|perfectly round|worth the journey|thoroughly confusing|quite ordinary
            |pleasantly warm|as sharp as glass|out of reach|strange|hardly visible|older than the bridge|good enough|a mixture of joy and rage|shallow
            |surprisingly fragile|unusual|just what we needed""",
        "exclaim": "Goodness|How marvellous|Watch out|What a shame|Oh, never mind|Hooray|Quiet, please|Thank you very much|Of course not|Why yes",
        "number": "two|three|eleven|fourteen|twenty six|thirty five|forty two|ninety nine|a hundred|four hundred and seven|six thousand|eighteen",
        "digit": "zero|one|two|three|four|five|six|seven|eight|nine",
        "ordinal": "first|second|third|fourth|fifth|sixth|eighth|twelfth|twentieth|thirty first",
        "month": "January|February|March|April|May|June|July|August|September|October|November|December",
        "side": "left|right|northern side|far side",
    },
    "es": {
        "sentence": """<person> <saw> <thing> <place>.|<when>, <person> <saw> <thing>.|¿Por qué <saw> <person> <thing>?|¿Dónde están <things>, <person>?
            |Nadie <saw> <thing> <place>, pero <person> sí.|<thing> está <place>, y <things> también.|Son las <hour> y <person> todavía no ha llegado.
            |¡Qué lástima! <person> <saw> <thing>.|Cuesta <number> euros con <number>, y <thing> va incluido.|Había <number> <plural> <place>.
            |Cuando <person> <saw> <thing>, empezó a llover.|Quisiera llevar <thing> <place>, si es posible.|<when>, <person> y <person> hablaron de <thing>.""",
        "person": "Joaquín|mi hermana Rocío|el viejo relojero|la doctora Ibáñez|Guillermo|una niña callada|el vecino|Chelo|el juez|Yolanda|su tío Jorge|la cocinera|Álvaro",
        "saw": "vio|pintó|perdió|midió|lavó|olvidó|compró|escuchó|dobló|empujó|describió|encontró|rechazó|envolvió|devolvió|eligió|cogió|arregló",
        "thing": """la llave oxidada|una jarra de miel|cinco panes|el paraguas rojo|aquel ruido extraño|el reloj de la iglesia|un mapa antiguo
            |la puerta del garaje|el violín roto|un vaso de zumo de naranja|la lluvia de mayo|el jardín del colegio|una guitarra|el queso manchego|la carretera larga""",
        "things": "los zapatos|las gafas|los pájaros|las cerezas|los guantes|las bicicletas|los viejos periódicos|las ovejas",
        "plural": "cajas|fotografías|bicicletas|lechugas|jarras|sillas|llaves|cucharas|ovejas",
        "place": "junto al puerto|debajo del puente|en el tercer piso|detrás del teatro|en la estación|cerca del río|entre dos casas|fuera del museo|en la playa",
        "when": "Ayer|El jueves pasado|Antes del desayuno|Media hora más tarde|Cada pocos años|Esta tarde|Al amanecer|Como siempre|En julio",
        "hour": "dos|tres y media|cuatro menos cuarto|ocho y veinte|once|doce",
        "number": "dos|tres|once|quince|veintiséis|treinta y cinco|cuarenta y dos|noventa y nueve|ciento siete|dieciocho",
    },
    "fr": {
        "sentence": """<person> <saw> <thing> <place>.|<when>, <person> <saw> <thing>.|Pourquoi <thing> est-il toujours <place>?|Où sont <things>, <person>?
            |Personne n'y croit, mais <person> <saw> <thing>.|Il est <hour>, et <person> n'est pas encore là.|Quel dommage! <person> <saw> <thing>.
            |Cela coûte <number> euros, avec <thing>.|Il y avait <number> <plural> <place>.|Quand <person> <saw> <thing>, il pleuvait.
            |Je voudrais poser <thing> <place>, si c'est possible.|<when>, <person> et <person> regardaient <things> <place>.""",
        "person": "Guillaume|ma cousine Agnès|le vieil horloger|le docteur Vaugirard|Jeanne|un inconnu|la voisine|Hugues|le juge|sa petite sœur|Yves|la bergère",
        "saw": "a vu|a peint|a perdu|a mesuré|a lavé|a oublié|a acheté|a entendu|a plié|a décrit|a trouvé|a refusé|a rendu|a choisi|a réparé",
        "thing": """la clé rouillée|un pot de miel|le parapluie rouge|ce drôle de bruit|l'horloge du village|une vieille carte|le violon cassé|un verre de jus d'orange
            |la pluie de juin|le jardin de l'école|un morceau de fromage|la longue route|un cheval gris|le feu de bois|une feuille de papier""",
        "things": "les chaussures|les lunettes|les oiseaux|les cerises|les gants|les vieux journaux|les montagnes|les brebis",
        "plural": "boîtes|photographies|bicyclettes|chaises|cuillères|feuilles|bouteilles|images",
        "place": "près du port|sous le pont|au troisième étage|derrière le théâtre|à la gare|au bord de la rivière|entre deux maisons|devant le musée|sur la plage",
        "when": "Hier|Jeudi dernier|Avant le déjeuner|Une demi-heure plus tard|Cet après-midi|À l'aube|Comme toujours|Au mois d'août",
        "hour": "deux heures|trois heures et demie|huit heures vingt|onze heures|midi",
        "number": "deux|trois|onze|quinze|vingt-six|trente-cinq|quarante-deux|quatre-vingt-dix-neuf|cent sept",
    },
    "it": {
        "sentence": """<person> <saw> <thing> <place>.|<when>, <person> <saw> <thing>.|Perché <person> <saw> <thing>?|Dove sono <things>, <person>?
            |Nessuno ci crede, ma <person> <saw> <thing>.|Sono le <hour> e <person> non è ancora qui.|Che peccato! <person> <saw> <thing>.
            |Costa <number> euro, con <thing>.|C'erano <number> <plural> <place>.|Quando <person> <saw> <thing>, pioveva.
            |Vorrei mettere <thing> <place>, se è possibile.|<when>, <person> e <person> parlavano di <number> <plural>.""",
        "person": "Guglielmo|mia cugina Agnese|il vecchio orologiaio|la dottoressa Zanetti|Chiara|uno sconosciuto|il vicino|Sergio|il giudice|sua zia Lucia|Ugo|la cuoca",
        "saw": "ha visto|ha dipinto|ha perso|ha misurato|ha lavato|ha dimenticato|ha comprato|ha sentito|ha piegato|ha descritto|ha trovato|ha scelto|ha aggiustato",
        "thing": """la chiave arrugginita|un vaso di miele|l'ombrello rosso|quello strano rumore|l'orologio della chiesa|una vecchia mappa|il violino rotto
            |un bicchiere di succo|la pioggia di maggio|il giardino della scuola|un pezzo di formaggio|la strada lunga|uno zaino azzurro|gli gnocchi caldi""",
        "things": "le scarpe|gli occhiali|gli uccelli|le ciliegie|i guanti|le biciclette|i vecchi giornali|le pecore|gli gnomi",
        "plural": "scatole|fotografie|biciclette|sedie|chiavi|cucchiai|pecore|zucche|pagine",
        "place": "vicino al porto|sotto il ponte|al terzo piano|dietro il teatro|alla stazione|lungo il fiume|fra due case|davanti al museo|sulla spiaggia",
        "when": "Ieri|Giovedì scorso|Prima di colazione|Mezz'ora più tardi|Questo pomeriggio|All'alba|Come sempre|A luglio",
        "hour": "due|tre e mezza|otto e venti|undici|dodici meno un quarto",
        "number": "due|tre|undici|quindici|ventisei|trentacinque|quarantadue|novantanove|centosette",
    },
    "pt": {
        "sentence": """<person> <saw> <thing> <place>.|<when>, <person> <saw> <thing>.|Por que <person> <saw> <thing>?|Onde estão <things>, <person>?
            |Ninguém acredita, mas <person> <saw> <thing>.|São <hour> e <person> ainda não chegou.|Que pena! <person> <saw> <thing>.
            |Custa <number> reais, com <thing>.|Havia <number> <plural> <place>.|Quando <person> <saw> <thing>, começou a chover.
            |Gostaria de levar <thing> <place>, se for possível.|<when>, <person> e <person> olhavam <things> <place>.""",
        "person": "Guilherme|minha irmã Conceição|o velho relojoeiro|a doutora Magalhães|João|uma menina quieta|o vizinho|Jorge|o juiz|a tia Lúcia|Zeca|a cozinheira",
        "saw": "viu|pintou|perdeu|mediu|lavou|esqueceu|comprou|ouviu|dobrou|empurrou|descreveu|encontrou|recusou|devolveu|escolheu|consertou",
        "thing": """a chave enferrujada|um pote de mel|o guarda-chuva vermelho|aquele barulho estranho|o relógio da igreja|um mapa antigo|o violão quebrado
            |um copo de suco de laranja|a chuva de maio|o jardim da escola|um pedaço de queijo|a estrada comprida|um pão quente|a manhã fria""",
        "things": "os sapatos|os óculos|os pássaros|as cerejas|as luvas|as bicicletas|os velhos jornais|as ovelhas",
        "plural": "caixas|fotografias|bicicletas|cadeiras|chaves|colheres|ovelhas|maçãs|páginas",
        "place": "perto do porto|debaixo da ponte|no terceiro andar|atrás do teatro|na estação|à beira do rio|entre duas casas|em frente ao museu|na praia",
        "when": "Ontem|Na quinta-feira passada|Antes do café|Meia hora mais tarde|Hoje à tarde|De madrugada|Como sempre|Em julho",
        "hour": "duas horas|três e meia|oito e vinte|onze horas|quinze para as dez",
        "number": "duas|três|onze|quinze|vinte e seis|trinta e cinco|quarenta e duas|noventa e nove|cento e sete",
    },
}
LANGUAGES = tuple(GRAMMARS)


def alternatives(rule: str) -> list[str]:
    return [" ".join(part.split()) for part in rule.split("|")]


RULES = {language: {name: alternatives(rule) for name, rule in grammar.items()} for language, grammar in GRAMMARS.items()}


def sentence(rng: np.random.Generator, language: str) -> str:
    """One sentence, its first letter a capital."""
    rules = RULES[language]

    def expand(name: str) -> str:
        chosen = rules[name][rng.integers(len(rules[name]))]
        return re.sub(r"<(\w+)>", lambda m: expand(m[1]), chosen)

    # Names keep their capitals inside; a sentence starts with one, and so does what follows a stop.
    return re.sub(r'(^[¿¡"]*|[.!?] +[¿¡"]*)(\w)', lambda m: m[1] + m[2].upper(), expand("sentence"))
