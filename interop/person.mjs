// A person with a browser, for the quickstart's company: follows where pages lead, keeps cookies, and answers what is
// asked. The company's sign-in knows them by `login_hint`.

const ATTRIBUTE = /([\w:-]+)="([^"]*)"/g
const attributes = (tag) => Object.fromEntries([...tag.matchAll(ATTRIBUTE)].map(([, name, value]) => [name, unescaped(value)]))
const unescaped = (text) =>
  text.replace(/&(amp|lt|gt|quot|#39|#x27|#34);/g, (whole, name) => ({ amp: '&', lt: '<', gt: '>', quot: '"', '#34': '"' })[name] ?? "'")

// From an authorization request to the address that the client is answered at; without `until` to the first page that
// asks nothing more. `decision`: what the person says; `who`: who they are, where nobody hints at it; `about`: which of
// the questions that wait for them they answer; `cookies`: those of a browser that was here before.
export async function visit(url, { until, decision = 'allow', who, about, cookies = new Map() } = {}) {
  let at = new URL(url)
  let answer = await send(at)
  for (let step = 0; step < 20; step++) {
    if (answer.status === 303 || answer.status === 302) {
      at = new URL(answer.headers.get('location'), at)
      if (until && at.href.startsWith(until)) return at
      answer = await send(at)
    } else if (answer.status === 200) {
      const page = await answer.text()
      const [found] = page.match(/<form[^>]*>/) ?? []
      if (!found) {
        const links = [...page.matchAll(/<a ([^>]*)>([^<]*)/g)].map(([tag, , text]) => ({ ...attributes(tag), text }))
        const link = links.find(({ href, text }) => href.endsWith(`login_hint=${who}`) || (about && text.includes(about)))
        if (!link) return at
        at = new URL(link.href, at)
        answer = await send(at)
        continue
      }
      const form = attributes(found)
      const fields = [...page.matchAll(/<input([^>]*)>/g)]
        .filter(([tag]) => !/\sdisabled/.test(tag))
        .map(([tag]) => attributes(tag))
        .filter(({ name }) => name)
        .map(({ name, value = '' }) => [name, value])
      at = new URL(form.action, at)
      answer = await send(at, new URLSearchParams([...fields, ['decision', decision]]))
    } else {
      break
    }
  }
  throw new Error(`${at.origin}${at.pathname} answered ${answer.status}: ${(await answer.text()).slice(0, 300)}`)

  // A browser takes loopback for a safe place to send secure cookies to; fetch keeps none.
  async function send(where, body) {
    const cookie = [...(cookies.get(where.origin) ?? new Map())].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { ...(cookie && { cookie }), ...(body && { origin: where.origin }) }
    const response = await fetch(where, { method: body ? 'POST' : 'GET', body, headers, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) {
      const [pair] = line.split(';')
      const jar = cookies.get(where.origin) ?? new Map()
      jar.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1))
      cookies.set(where.origin, jar)
    }
    return response
  }
}
