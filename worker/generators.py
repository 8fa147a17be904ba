"""The product names under which generators write themselves into files.

A name counts only as a whole: maker, product and version, with nothing else in the field. A word inside a longer text
is never a match, and neither is a product name that is also a person's name or a common word, unless its maker or a
version that only the generator has stands beside it (Sora, Gemini, Imagen, Firefly, Flux, Roop and their like).
"""

import re
from typing import Final

LONGEST = 120  # characters of a field that can still be a product's name
# 3, v6.1, 1.9.3-beta, 2.0 turbo. Bounded, since the text is a stranger's.
_VERSION = (
    r"(?:[ /_-]{0,2}\(?(?:version |v\.? ?)?\d{1,4}(?:\.\d{1,6}){0,4}(?:[-+.][0-9a-z.]{1,20})?"
    r"(?: (?:alpha|beta|turbo|large|medium|small|pro|ultra|fast|xl|preview)){0,2}\)?)"
)
_MADE_WITH = r"(?:(?:made|created|generated|edited) (?:with|by|using|in) )?"
_PLATFORM = r"(?: \((?:discord|web|windows|macintosh|macos|linux|ios|android|api)\))?"

# Patterns of whole names. `+V` stands for a version that may be missing, `=V` for one that must be there.
_FORMS: Final = {
    "Stable Diffusion": (
        r"(?:stability[ .]?ai )?stable[ _-]?diffusion(?: (?:xl|turbo|cascade|3|3\.5))?+V",
        r"sdxl(?: turbo)?=V",
        r"stability[ .]?ai",
        r"(?:automatic1111|a1111)(?: (?:web ?ui|stable[ _-]diffusion[ _-]web ?ui))?+V",
        r"(?:stable[ _-]diffusion|sd)[ _-]web[ _-]?ui(?:[ _-]forge)?+V",
        r"dreamstudio(?: by stability ?ai)?+V",
        r"sd\.next+V",
        r"easy ?diffusion+V",
    ),
    "ComfyUI": (r"comfy[ _-]?ui+V",),
    "SwarmUI": (r"(?:stable)?swarm ?ui+V",),
    "InvokeAI": (r"invoke[ _-]?ai+V",),
    "NovelAI": (r"novel[ _-]?ai(?: diffusion)?+V",),
    "Fooocus": (r"fooocus+V",),
    "Draw Things": (r"draw things=V", r"draw things(?: ai|: ai generation)?"),
    "DiffusionBee": (r"diffusion ?bee+V",),
    "Midjourney": (r"mid ?journey(?: (?:bot|niji))?+V", r"niji[ ・·-]?journey+V"),
    "DALL·E": (
        r"(?:openai[ /:]{0,2})?dall[ ·•.-]?e+V",
        r"openai(?:[ -]api)?",
        r"(?:openai )?chat ?gpt+V",
        r"(?:openai )?gpt-4o(?: image(?: generation)?)?",
        r"(?:openai )?gpt-image-\d(?:\.\d)?",
    ),
    "Sora": (
        r"openai[ /:]{0,2}sora(?: turbo)?+V",
        r"sora(?: turbo)?(?: \d)?(?: by openai|\.chatgpt\.com)",
        r"sora[ -]2(?: pro)?",
    ),
    "Firefly": (r"adobe[ _]firefly(?: (?:image|video|vector))?(?: model)?+V",),
    "Google AI": (
        r"google imagen+V",
        r"imagen-\d\.\d-[a-z0-9-]{1,40}",
        r"google gemini+V",
        r"gemini[ -]\d(?:\.\d)?[ -](?:flash|pro|ultra)(?:[ -](?:image|preview|exp|experimental)){0,3}",
        r"(?:google )?nano banana(?: pro)?",
        r"google veo+V",
        r"veo-\d\.\d-[a-z0-9-]{1,40}",
        r"google ai(?: studio)?",
    ),
    "Meta AI": (r"meta ai+V", r"imagined with ai"),
    "Bing Image Creator": (
        r"(?:microsoft )?bing image creator+V",
        r"image creator (?:from|in) (?:microsoft )?designer",
    ),
    "FLUX": (
        r"black[ -]?forest[ -]?labs(?: flux)?(?: ?api)?+V",
        (
            r"(?:black[ -]?forest[ -]?labs )?flux[ .]?[12](?:\.\d)?[ -]?\[?"
            r"(?:dev|schnell|pro|kontext|krea|ultra|fill|max|flex)\]?"
        ),
        r"(?:black[ -]?forest[ -]?labs )flux\.?[12]?(?:\.\d)?",
        r"flux\.[12]",
    ),
    "Ideogram": (r"ideogram[ .]ai+V", r"ideogram=V"),
    "Leonardo": (r"leonardo[ .]ai+V",),
    "Grok": (r"xai grok(?: imagine)?+V", r"grok imagine+V", r"grok-\d[a-z0-9-]{0,20}image[a-z0-9-]{0,20}"),
    "Recraft": (r"recraft(?:[ .]ai)?=V", r"recraft[ .]ai"),
    "Krea": (r"krea[ .]ai+V",),
    "Runway": (r"runway ?ml+V", r"runway gen-?\d(?:\.\d)?(?: (?:alpha|turbo|aleph)){0,2}"),
    "Kling": (r"kling ?ai+V", r"kuaishou kling+V"),
    "Pika": (r"pika ?labs+V", r"pika\.art"),
    "Luma": (r"(?:luma ?(?:ai|labs)? )?dream machine+V", r"luma ?(?:ai|labs)+V"),
    "Hailuo": (r"(?:minimax )?hailuo(?: ?ai)?+V",),
    "HeyGen": (r"hey ?gen(?:\.com)?+V",),
    "Synthesia": (r"synthesia\.io", r"synthesia studio+V"),
    "Craiyon": (r"craiyon(?:\.com)?+V", r"dall-e mini"),
    "NightCafe": (r"night ?cafe(?: (?:studio|creator))+V",),
    "Wombo": (r"(?:wombo )dream+V", r"dream by wombo+V"),
    "Jimeng": (r"(?:jimeng|dreamina|seedream|即梦) ?(?:ai)?=V", r"(?:jimeng|即梦) ?ai", r"dreamina"),
    "Wan": (r"通义万相+V", r"tongyi wanxiang+V"),
    "ERNIE": (r"文心一格+V", r"ernie-vilg+V"),
    "StyleGAN": (r"stylegan(?:[23])?(?:-(?:ada|t|xl))?(?:-pytorch)?+V", r"(?:www\.)?thispersondoesnotexist(?:\.com)?"),
    "DeepFaceLab": (r"deep ?face ?(?:lab|live)+V",),
    "FaceSwap": (
        r"face ?fusion+V",
        r"faceswap(?:\.dev)?+V",
        r"roop=V",
        r"(?:sd-webui-)?roop[ _-](?:unleashed|cam|gui)+V",
        r"sd-webui-(?:roop|reactor|faceswap)+V",
        r"reactor face ?swap+V",
        r"reface(?: app|\.ai|\.app)+V",
        r"deep-live-cam+V",
    ),
}


def _compiled(forms: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join(form.replace("+V", f"{_VERSION}?").replace("=V", _VERSION) for form in forms)
    return re.compile(f"{_MADE_WITH}(?:{names}){_PLATFORM}", re.IGNORECASE)


PRODUCTS: Final = {name: _compiled(forms) for name, forms in _FORMS.items()}


def named(field: str) -> tuple[str, str] | None:
    """Returns a generator's name and the words that say so, when a tool's own field holds a generator's name.

    A field may list several tools, separated by semicolons, bars or new lines; each is looked at by itself.
    """
    field = field[: 8 * LONGEST + 1].strip(" \0")
    if len(field) > 8 * LONGEST:
        return None
    for part in re.split(r"[;|\n\r\0]", field)[:8]:
        text = " ".join(part.split())
        if not 0 < len(text) <= LONGEST:
            continue
        for name, pattern in PRODUCTS.items():
            if pattern.fullmatch(text):
                return name, text
    return None
