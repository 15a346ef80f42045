/** A page's picture, by Chromium. */
import { chromium } from 'playwright';
import { FIGURE_ID } from './report.ts';

const WIDTH = 1280;

/** @param colourScheme of the page @returns PNG of what stands on top of the report, or of the whole of it */
export async function pictureOf(
  html: string,
  { colourScheme = 'light', whole = false }: { colourScheme?: 'light' | 'dark'; whole?: boolean } = {},
): Promise<Buffer> {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', chromiumSandbox: false });
  try {
    const page = await browser.newPage({
      viewport: { width: WIDTH, height: 800 },
      deviceScaleFactor: 2,
      colorScheme: colourScheme,
    });
    await page.setContent(html, { waitUntil: 'load' });
    return whole
      ? await page.screenshot({ fullPage: true, type: 'png' })
      : await page.locator(`#${FIGURE_ID}`).screenshot({ type: 'png' });
  } finally {
    await browser.close();
  }
}
